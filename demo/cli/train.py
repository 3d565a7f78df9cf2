"""`python -m demo train`: files of pairs become an adapter, with a held-out score and a card beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from demo.cli.app import app
from demo.cli.options import (
    DeviceOption,
    DtypeOption,
    EosOption,
    JsonOption,
    LayerOption,
    ModelOption,
    PoolingOption,
    PostprocessOption,
    PromptOption,
    ReferenceOption,
    make_lab,
)
from demo.cli.printing import note, print_json, print_line, showing_progress, wait_for_model
from demo.domain.datamodels import Pooling, Progress, Prompt, Reference
from demo.domain.errors import BadInput
from demo.domain.recipe import Method, Recipe, TrainingSet
from demo.export.model_card import render_card
from demo.files.bundled import load_training
from demo.files.pairs import HUB, load_hub_pairs, load_pairs

_DEFAULTS = Recipe(reading=None)
_STATE = "state"  # the folder inside --out of an interrupted run
_STATE_EVERY = 25  # steps


@app.command(
    epilog="Examples:\n\n"
    "python -m demo train --out my-adapter\n\n"
    "python -m demo train --pairs faq.csv --pairs dictionary.jsonl.gz:0.3 --licence mine --licence CC0 --steps 300 "
    "--out my-adapter\n\n"
    "python -m demo compare --model my-adapter"
)
def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the adapter goes; an interrupted run goes on there.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:WEIGHT]",
            help="JSONL, CSV or TSV of question, answer[, negative], gzipped or not, and how often it is drawn from; "
            "hub:OWNER/NAME[@SPLIT] for a data set of the Hub; repeatable. None: the lab's own pairs.",
        ),
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="The licence of each --pairs, in their order, for the card."),
    ] = None,
    model: ModelOption = None,
    prompt: PromptOption = Prompt.PROMPTEOL,
    pooling: PoolingOption = Pooling.LAST_TOKEN,
    layer: LayerOption = None,
    eos: EosOption = False,
    postprocess: PostprocessOption = None,
    reference: ReferenceOption = Reference.CORPUS,
    method: Annotated[Method, typer.Option(help="What learns: low-rank adapters, or one linear map.")] = Method.LORA,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="How many steps.")] = _DEFAULTS.steps,
    batch: Annotated[int, typer.Option(metavar="N", min=2, help="Pairs a step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[
        float, typer.Option(metavar="RATE", min=0, help="At its height, after the warm-up.")
    ] = _DEFAULTS.learning_rate,
    warmup: Annotated[
        int, typer.Option(metavar="N", min=0, help="Steps until the rate is at its height.")
    ] = _DEFAULTS.warmup,
    temperature: Annotated[
        float, typer.Option(metavar="τ", min=0.001, help="Of the softmax: lower is stricter.")
    ] = _DEFAULTS.temperature,
    rank: Annotated[
        int, typer.Option(metavar="R", min=1, help="How many directions an adapter may add.")
    ] = _DEFAULTS.rank,
    first_block: Annotated[
        int, typer.Option(metavar="N", min=0, help="The lowest block, from 0, that gets an adapter.")
    ] = _DEFAULTS.first_block,
    max_tokens: Annotated[
        int, typer.Option(metavar="N", min=8, help="Of a training text with its prompt, at most.")
    ] = _DEFAULTS.max_tokens,
    guide: Annotated[
        str,
        typer.Option(metavar="ID", help="A model whose cosines are soft labels within a batch, such as an encoder."),
    ] = "",
    guide_weight: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="How much of the loss comes from the guide.")
    ] = _DEFAULTS.guide_weight,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same adapter.")] = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train an adapter with contrastive loss, so that a GPT tells right answers from wrong ones."""
    sets = [_load(said) for said in pairs] if pairs else list(load_training().values())
    licences = _licences(sets, licence, bool(pairs))
    lab = make_lab(device, dtype)
    chosen = {"prompt": prompt, "pooling": pooling, "layer": layer, "eos": eos}
    chosen |= {"postprocess": postprocess, "reference": reference}
    how = {
        **{"method": method, "steps": steps, "batch_size": batch, "learning_rate": learning_rate, "warmup": warmup},
        **{"temperature": temperature, "rank": rank, "alpha": 2 * rank, "first_block": first_block, "seed": seed},
        **{"max_tokens": max_tokens, "guide": guide, "guide_weight": guide_weight if guide else 0.0},
    }
    run = wait_for_model(lambda: lab.train(sets, model=model, wait=False, how=how, **chosen))
    state = out / _STATE
    if state.is_dir():
        run.training.load_state(state)
        note(f"Goes on after step {run.done} of {steps}.")
    elif out.exists() and any(out.iterdir()):
        raise BadInput(problem=f"{out} is there already. A new folder, or one of an interrupted run, is accepted.")
    for one in sets:
        if one.left_out:
            note(f"{one.name}: {one.left_out:,} rows labelled 0 are left out.")
    count = sum(len(one.pairs) for one in run.sets)
    note(f"{count:,} pairs to train on, {len(run.held_out)} held out, {run.training.trainable:,} numbers to learn")
    with showing_progress() as report:
        for event in run.events(look_seconds=float("inf")):
            if event.step is None:
                before = event.snapshot
                continue
            step = event.step
            said = f"step {step.step} of {steps}, loss {step.loss:.3f}, {step.texts_per_second:.0f} texts/s"
            report(Progress(said, step.step / steps))
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


def _load(said: str) -> TrainingSet:
    """FILE[:WEIGHT] or hub:OWNER/NAME[@SPLIT][:WEIGHT]."""
    name, _, last = said.rpartition(":")
    weight = _number(last) if name and not name.endswith("hub") else None
    source = said if weight is None else name
    weight = 1.0 if weight is None else weight
    if source.startswith(HUB):
        return load_hub_pairs(source.removeprefix(HUB), weight=weight)
    return load_pairs(source, weight=weight)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not 0 < value < 1e6:
        raise BadInput(problem=f"“{text}” is no weight. Accepted are numbers above 0.")
    return value


def _licences(sets: list[TrainingSet], said: list[str] | None, given: bool) -> dict[str, str]:
    """Source → licence, for the card."""
    if not given:
        return {one.name: "Apache-2.0, the lab's own writing" for one in sets}
    said = list(said or [])
    if len(said) > len(sets):
        raise BadInput(problem=f"{len(said)} licences were given for {len(sets)} files of pairs.")
    said += ["not stated"] * (len(sets) - len(said))
    return {one.name: licence for one, licence in zip(sets, said, strict=True)}


def _auc(look) -> float | None:
    return look.held_out.auc if look and look.held_out else None


def _said(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
