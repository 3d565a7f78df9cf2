"""`python -m demo train`: files of pairs become an adapter, with a held-out score and a card beside it."""

from __future__ import annotations

import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.app import app
from demo.cli.options import (
    ADVICE,
    FILE_OPTIONS,
    FORMATS,
    MACHINE_OPTIONS,
    JsonOption,
    Options,
    expand_options,
    file_choice,
    make_lab,
    shared_options,
)
from demo.cli.printing import note, print_json, print_line, showing_progress, wait_for_model
from demo.domain.datamodels import Pooling, Progress, Prompt, Reference
from demo.domain.errors import BadInput
from demo.domain.recipe import Method, Recipe, TrainingSet
from demo.export.model_card import render_card
from demo.files.bundled import load_training
from demo.files.pairs import HUB, PairLimits, load_hub_pairs, load_pairs

_DEFAULTS = Recipe(reading=None)


def _field(name: str, metavar: str, text: str, **limits: float) -> tuple[Any, Any]:
    """An option for a field of the recipe, with its type and default."""
    default = getattr(_DEFAULTS, name)
    return Annotated[type(default), typer.Option(metavar=metavar, help=text, **limits)], default


_RECIPE: Options = {
    "method": (Annotated[Method, typer.Option(help="What learns: low-rank adapters, or one linear map.")], Method.LORA),
    "steps": _field("steps", "N", "How many steps.", min=1),
    "batch": _field("batch_size", "N", "Pairs a step.", min=2),
    "learning_rate": _field("learning_rate", "RATE", "At its height, after the warm-up.", min=0),
    "warmup": _field("warmup", "N", "Steps until the rate is at its height.", min=0),
    "temperature": _field("temperature", "τ", "Of the softmax: lower is stricter.", min=0.001),
    "rank": _field("rank", "R", "How many directions an adapter may add.", min=1),
    "first_block": _field("first_block", "N", "The lowest block, from 0, that gets an adapter.", min=0),
    "max_tokens": _field("max_tokens", "N", "Of a training text with its prompt, at most.", min=8),
    "guide": _field("guide", "ID", "A model whose cosines are soft labels within a batch, such as an encoder."),
    "guide_weight": _field("guide_weight", "SHARE", "How much of the loss comes from the guide.", min=0, max=1),
    "seed": _field("seed", "N", "The same seed gives the same adapter."),
}
_READING = shared_options(
    *("model", "prompt", "pooling", "layer", "eos", "postprocess", "reference"),
    prompt=Prompt.PROMPTEOL,
    pooling=Pooling.LAST_TOKEN,
    reference=Reference.CORPUS,
)
_STATE = "state"  # the folder inside --out of an interrupted run
_STATE_EVERY = 25  # steps


@app.command(
    epilog="Examples:\n\n"
    "python -m demo train --out my-adapter\n\n"
    "python -m demo train --pairs faq.csv --pairs dictionary.jsonl.gz:0.3 --licence mine --licence CC0 --steps 300 "
    "--out my-adapter\n\n"
    "python -m demo compare --model my-adapter"
)
@expand_options(columns=FILE_OPTIONS, reading=_READING, recipe=_RECIPE, machine=MACHINE_OPTIONS)
def train(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the adapter goes; an interrupted run goes on there.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:WEIGHT]",
            help=f"{FORMATS} of question, answer[, negative], gzipped or not, and how often it is drawn from; "
            "hub:OWNER/NAME[@SPLIT] for a data set of the Hub; repeatable. None: the lab's own pairs.",
        ),
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="The licence of each --pairs, in their order, for the card."),
    ] = None,
    columns: dict[str, Any],
    reading: dict[str, Any],
    recipe: dict[str, Any],
    machine: dict[str, Any],
    as_json: JsonOption = False,
) -> None:
    """Train an adapter with contrastive loss, so that a GPT tells right answers from wrong ones."""
    wanted = file_choice(**columns)
    sets = [_load(source, wanted) for source in pairs] if pairs else list(load_training().values())
    licences = _licences(sets, licence or [], own=not pairs)
    lab = make_lab(**machine)
    how = {**recipe, "alpha": 2 * recipe["rank"], "guide_weight": recipe["guide_weight"] if recipe["guide"] else 0.0}
    steps, how["batch_size"] = recipe["steps"], how.pop("batch")
    run = wait_for_model(lambda: lab.train(sets, wait=False, how=how, **reading))
    state = out / _STATE
    if state.is_dir():
        run.training.load_state(state)
        note(f"Goes on after step {run.done} of {steps}.")
    elif out.exists() and any(out.iterdir()):
        raise BadInput(problem=f"{out} is there already. A new folder, or one of an interrupted run, is accepted.")
    for one in sets:
        for notice in one.notices:
            note(f"{one.name}: {notice}")
    count = sum(len(one.pairs) for one in run.sets)
    note(f"{count:,} pairs to train on, {len(run.held_out)} held out, {run.training.trainable:,} numbers to learn")
    with showing_progress() as report:
        for event in run.events(look_seconds=float("inf"), on_progress=report):
            if event.step is None:
                before = event.snapshot
                continue
            step = event.step
            stage = f"step {step.step} of {steps}, loss {step.loss:.3f}, {step.texts_per_second:.0f} texts/s"
            report(Progress(stage, step.step / steps))
            if step.step % _STATE_EVERY == 0 and step.step < steps:
                run.training.save_state(state)
    scores = {"held_out_auc_before": _auc(before), "held_out_auc": _auc(run.last_snapshot)}
    run.save(out, scores, render_card(run.describe(scores), licences))
    shutil.rmtree(state, ignore_errors=True)
    if as_json:
        print_json(run.describe(scores))
        return
    print_line(f"AUC on held-out pairs: {_said(scores['held_out_auc_before'])} → {_said(scores['held_out_auc'])}")
    print_line(("adapter: ", "dim"), str(out))


def _load(argument: str, wanted: dict[str, Any]) -> TrainingSet:
    """FILE[:WEIGHT] or hub:OWNER/NAME[@SPLIT][:WEIGHT]."""
    name, _, last = argument.rpartition(":")
    weight = _number(last) if name and not name.endswith("hub") else None
    source, weight = (argument, 1.0) if weight is None else (name, weight)
    if source.startswith(HUB):
        return load_hub_pairs(source.removeprefix(HUB), PairLimits(**ADVICE), weight, **wanted)
    return load_pairs(source, PairLimits(**ADVICE), weight, **wanted)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not 0 < value < 1e6:
        raise BadInput(problem=f"“{text}” is no weight. Accepted are numbers above 0.")
    return value


def _licences(sets: list[TrainingSet], stated: list[str], own: bool) -> dict[str, str]:
    """Source → licence, for the card. own: whether the sets are the lab's."""
    if own:
        return {one.name: "Apache-2.0, the lab's own writing" for one in sets}
    if len(stated) > len(sets):
        raise BadInput(problem=f"{len(stated)} licences were given for {len(sets)} files of pairs.")
    names = [one.name for one in sets]
    return dict(zip_longest(names, stated, fillvalue="not stated"))


def _auc(look) -> float | None:
    return look.held_out.auc if look and look.held_out else None


def _said(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
