"""Recommend beside the full sweep of the same models: is its reading as good on held-out texts, and in which time?

    python -m tests.benchmarks.recommend faq.csv wikiqa.tsv sts.tsv --questions 60    # every model that runs here

Both choose on the same half of a file's questions; both choices are scored on the other half alike. Prints for each
file the recommended reading, the best one that any model's sweep chose, their figures with 95 % intervals, and the
ratio of the times, in which the models are in memory already. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from demo import Lab
from demo.analysis.evaluation import score
from demo.analysis.labelled_sets import cut_out, resampling_units, split, subset
from demo.cli.options import PAIR_LIMITS
from demo.domain.datamodels import Reading
from demo.domain.errors import ModelError
from demo.domain.results import LabelledSet
from demo.files.labelled import load_labelled
from demo.studies.sweep import measure_reading


def draw(labelled: LabelledSet, count: int) -> LabelledSet:
    """The set's first questions (graded: pairs)."""
    units = resampling_units(labelled)
    return cut_out(labelled, (units < count).nonzero()[0])


def usable_models() -> list[str]:
    """The models that run here from memory and whose weights can be had."""
    lab, models = Lab(), []
    for status in lab.models():
        if status.state == "unavailable" or status.host or status.reason:
            continue
        try:
            lab.open(status.model)
            models.append(status.model)
        except ModelError as error:
            print(f"left out: {error}", file=sys.stderr)
    return models


def fresh_lab(models: list[str]) -> Lab:
    """A lab that has the models in memory and has computed nothing."""
    lab = Lab(disk_cache_mb=0)
    for model in models:
        lab.embed(["warm"], model=model)
    return lab


def measure(file: str, models: list[str], questions: int, seconds: float) -> dict:
    """One file's row: both readings with their held-out figures, and what either took."""
    labelled = draw(load_labelled(file, PAIR_LIMITS), questions)
    lab = fresh_lab(models)
    started = time.perf_counter()
    found = lab.recommend(labelled=labelled, models=models, seconds=seconds)
    took = {"recommend": time.perf_counter() - started}

    lab = fresh_lab(models)
    started = time.perf_counter()
    sweeps = []
    for model in models:
        sweeps.append(lab.sweep(labelled=labelled, model=model))
        print(f"swept {model} in {sweeps[-1].seconds:.0f} s", file=sys.stderr)
    took["sweep"] = time.perf_counter() - started
    swept = max(sweeps, key=lambda sweep: sweep.ranked()[0][1]).best

    choosing, scoring = split(labelled)
    held = scoring if len(scoring) else choosing

    def headline(reading: Reading):
        return score(measure_reading(lab, labelled, reading)[held], subset(labelled, held)).headline

    figures = {"recommend": headline(found.best), "sweep": headline(swept)}
    return {
        "file": Path(file).name,
        "criterion": found.criterion,
        "held_out_on": found.held_out,
        "verdict": found.verdict,
        "readings": {"recommend": found.best.label(), "sweep": swept.label()},
        "held_out": {name: asdict(figure) for name, figure in figures.items()},
        "within_interval": figures["recommend"].high >= figures["sweep"].value,
        "seconds": took,
        "ratio": took["recommend"] / took["sweep"],
        "tried": f"{found.n_tried} of {found.n_possible}",
        "notices": list(found.notices),
    }


def print_row(row: dict) -> None:
    print(f"{row['file']}: {row['criterion']} on {row['held_out_on']} held-out questions or pairs; {row['verdict']}")
    for name, figure in row["held_out"].items():
        value = f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
        print(f"  {name}: {row['readings'][name]}, {value}, {row['seconds'][name]:.1f} s")
    within = "yes" if row["within_interval"] else "no"
    print(f"  within its interval: {within}; time: {row['ratio']:.2f} of the sweep's; tried {row['tried']}")
    for notice in row["notices"]:
        print(f"  {notice}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="+", help="pairs, as the command line takes them")
    parser.add_argument("--questions", type=int, default=60, help="the first ones of each file")
    parser.add_argument("--model", action="append", help="repeat for more; all that run here from memory without it")
    parser.add_argument("--seconds", type=float, default=600.0, help="recommend's budget")
    parser.add_argument("--json", action="store_true", help="a line a file")
    options = parser.parse_args()
    models = options.model or usable_models()
    rows = []
    for file in options.file:
        rows.append(measure(file, models, options.questions, options.seconds))
        if options.json:
            print(json.dumps(rows[-1]), flush=True)
        else:
            print_row(rows[-1])
    if not options.json:
        worst, within = max(row["ratio"] for row in rows), sum(row["within_interval"] for row in rows)
        print(f"within its interval on {within} of {len(rows)}; at most {worst:.2f} of the sweep's time")


if __name__ == "__main__":
    main()
