"""`python -m demo benchmark`: readings of several models on labelled sets, with intervals and speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from demo.analysis.labelled_sets import sample
from demo.cli.app import app
from demo.cli.options import (
    FILE_OPTIONS,
    FORMATS,
    MACHINE_OPTIONS,
    PAIR_LIMITS,
    JsonOption,
    choices,
    expand_options,
    file_choice,
    make_lab,
    option,
    shared_options,
)
from demo.cli.printing import interval, note, print_json, print_line, print_table, showing_progress
from demo.domain.datamodels import Pooling, Postprocess, Prompt
from demo.domain.errors import BadInput, ReadingRefused, UnknownChoice
from demo.domain.results import BenchmarkRow, LabelledSet
from demo.files.bundled import load_benchmark
from demo.files.labelled import load_labelled
from demo.studies.benchmark import ReadingGrid
from demo.studies.mixture import load_mixture
from demo.studies.mteb_tasks import MtebRow

_FIGURES = {"spearman": "Spearman", "auc": "AUC", "top1": "top-1", "mrr": "MRR", "ndcg10": "nDCG@10"}


@app.command(
    epilog="Examples:\n\n"
    "python -m demo benchmark\n\n"
    "python -m demo benchmark stsb-dev.tsv --prompt all --pooling last_token --pooling mean --postprocess zscore "
    "--layer last --layer best\n\n"
    "python -m demo benchmark pairs.csv --model all-minilm-l6-v2 --model smollm2-135m-instruct --json > figures.json"
)
@expand_options(
    columns=FILE_OPTIONS, reading=shared_options("eos", "reference", "task", "template"), machine=MACHINE_OPTIONS
)
def benchmark(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…", help=f"{FORMATS}: question, answer[, label or score]. None: the lab's own sets."
        ),
    ] = None,
    columns: dict[str, Any],
    bundled: Annotated[
        list[str] | None, option("NAME", "One of the lab's own sets, such as all-en.", "--set", panel=None)
    ] = None,
    mixture: Annotated[
        list[Path] | None,
        option("FILE", "Several readings taken together, as in examples/mixtures; repeatable.", panel=None),
    ] = None,
    mteb: Annotated[
        list[str] | None,
        option("TASK", "A task of the mteb package by name; needs pip install mteb, and the Hub.", panel=None),
    ] = None,
    model: Annotated[
        list[str] | None, option("ID", "A model as in `python -m demo models`; repeat it for more.")
    ] = None,
    prompt: Annotated[list[str] | None, option("NAME", f"{choices(Prompt)}, or all; repeat it for more.")] = None,
    pooling: Annotated[list[Pooling] | None, option("NAME", f"{choices(Pooling)}; repeat it for more.")] = None,
    postprocess: Annotated[
        list[Postprocess] | None, option("NAME", f"{choices(Postprocess)}; repeat it for more.")
    ] = None,
    layer: Annotated[
        list[str] | None, option("N", "last, best (picked on the set itself: it flatters) or a number; repeatable.")
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="About so many pairs of each set, drawn with a fixed seed: for a quick look."
        ),
    ] = None,
    reading: dict[str, Any],
    machine: dict[str, Any],
    as_json: JsonOption = False,
) -> None:
    """Measure readings on labelled sets. What is not said is each model's own reading."""
    own = [] if mteb and not files and not bundled else _gather_sets(files or [], bundled or [], file_choice(**columns))
    sets = [sample(labelled, pairs) if pairs else labelled for labelled in own]
    lab = make_lab(**machine)
    grids = [
        ReadingGrid(
            model=name,
            prompts=tuple(prompt or ()),
            poolings=tuple(choice.value for choice in pooling or ()),
            postprocess=tuple(choice.value for choice in postprocess or ()),
            layers=tuple(layer or ("last",)),
            eos=reading["eos"],
            reference=reading["reference"].value,
            task=reading["task"] or "",
            template=reading["template"] or "",
        )
        for name in model or ([] if mixture else [lab.settings.model])
    ]
    mixtures = [load_mixture(file) for file in mixture or []]
    refused: dict[str, None] = {}

    def on_refused(error: ReadingRefused) -> None:
        if str(error) not in refused:
            refused[str(error)] = None
            note(f"Left out: {error}", style="yellow")

    with showing_progress() as on_progress:
        rows = []
        for row in lab.benchmark(sets, grids, on_progress, mixtures, on_refused):
            rows.append(row)
            note(_line(row))  # as it is known: a long run that is cut short has not been for nothing
        if refused and not mixtures and not any(row.reading for row in rows):
            raise BadInput(problem="No reading is left: each is refused by its model, as stated above.")
        scored = []
        for row in lab.mteb(mteb or [], grids, on_progress):
            scored.append(row)
            note(_mteb_line(row))
    if as_json:
        print_json([row.to_dict() for row in (*rows, *scored)])
        return
    for labelled in sets:
        _print_set(labelled, [row for row in rows if row.set_name == labelled.name])
    for row in scored:
        print_line(_mteb_line(row))


def _gather_sets(files: list[Path], names: list[str], wanted: dict[str, Any]) -> list[LabelledSet]:
    own = load_benchmark()
    for name in names:
        if name not in own:
            raise UnknownChoice(field="set", value=name[:80], kind="set", accepted=", ".join(own))
    if not files and not names:
        names = ["all-en", "all-ko"]
    read = [load_labelled(file, PAIR_LIMITS, **wanted) for file in files]
    for labelled in read:
        for notice in labelled.notices:
            note(f"{labelled.name}: {notice}")
    return read + [own[name] for name in names]


def _line(row: BenchmarkRow) -> str:
    figures = [f"{_FIGURES[name]} {interval(getattr(row.scores, name))}" for name in _figures_of(row)]
    return " · ".join([row.set_name, row.label, *figures])


def _mteb_line(row: MtebRow) -> str:
    return f"{row.task} · {row.reading.label()} · {row.metric} {row.main_score:.4f} · {row.seconds:.0f} s"


def _figures_of(row: BenchmarkRow) -> list[str]:
    return [name for name in _FIGURES if getattr(row.scores, name) is not None]


def _print_set(labelled: LabelledSet, rows: list[BenchmarkRow]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in _figures_of(row)))
    size = f"{len(labelled.pairs):,} pairs" + ("" if labelled.graded else f", {rows[0].scores.n_questions:,} questions")
    print_line()
    print_line((labelled.name, "bold"), f"  {size}; in brackets 95 % by bootstrap")
    table = [
        (
            row.label,
            *(interval(getattr(row.scores, name)) for name in names),
            f"{row.texts_per_second:.0f}" if row.texts_per_second else "–",
        )
        for row in rows
    ]
    columns = {"reading": "left", **{_FIGURES[name]: "right" for name in names}, "texts/s": "right"}
    print_table(columns, table)
    origins = dict.fromkeys(
        " · ".join(
            row.provenance[key] for key in ("model", "revision", "weights_precision", "precision", "device", "versions")
        )
        for row in rows
        if row.provenance
    )
    for origin in origins:
        print_line((origin, "dim"))
