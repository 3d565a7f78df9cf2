"""Recommend beside the full sweep of the same models: is its reading as good on held-out texts, and in which time?

    python -m tests.benchmarks.recommend pairs.csv --questions 60    # every model that runs here from memory

Both choose on the same half of the questions; both choices are scored on the other half alike. Prints the recommended
reading, the best one that any model's sweep chose, their figures with 95 % intervals, and the ratio of the times, in
which the models are in memory already. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from demo import Lab
from demo.analysis.evaluation import score
from demo.analysis.labelled_sets import cut_out, resampling_units, split, subset
from demo.cli.options import PAIR_LIMITS
from demo.domain.datamodels import Reading
from demo.domain.results import LabelledSet
from demo.files.labelled import load_labelled
from demo.studies.sweep import measure_reading


def draw(labelled: LabelledSet, count: int) -> LabelledSet:
    """The set's first questions (graded: pairs)."""
    units = resampling_units(labelled)
    return cut_out(labelled, (units < count).nonzero()[0])


def fresh_lab(models: list[str]) -> Lab:
    """A lab that has the models in memory and has computed nothing."""
    lab = Lab(disk_cache_mb=0)
    for model in models:
        lab.embed(["warm"], model=model)
    return lab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--questions", type=int, default=60, help="the first ones of the file")
    parser.add_argument("--model", action="append", help="repeat for more; all that run here from memory without it")
    parser.add_argument("--seconds", type=float, default=600.0, help="recommend's budget")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    labelled = draw(load_labelled(options.file, PAIR_LIMITS), options.questions)
    here = [s.model for s in Lab().models() if s.state != "unavailable" and not s.host and not s.reason]
    models = options.model or here

    lab = fresh_lab(models)
    started = time.perf_counter()
    found = lab.recommend(labelled=labelled, models=models, seconds=options.seconds)
    seconds = {"recommend": time.perf_counter() - started}

    lab = fresh_lab(models)
    started = time.perf_counter()
    sweeps = []
    for model in models:
        sweeps.append(lab.sweep(labelled=labelled, model=model))
        print(f"swept {model} in {sweeps[-1].seconds:.0f} s", file=sys.stderr)
    seconds["sweep"] = time.perf_counter() - started
    swept = max(sweeps, key=lambda sweep: sweep.ranked()[0][1]).best

    choosing, scoring = split(labelled)
    held = scoring if len(scoring) else choosing

    def headline(reading: Reading):
        return score(measure_reading(lab, labelled, reading)[held], subset(labelled, held)).headline

    figures = {"recommend": headline(found.best), "sweep": headline(swept)}
    row = {
        "verdict": found.verdict,
        "readings": {"recommend": found.best.label(), "sweep": swept.label()},
        "held_out": {name: figure.to_dict() for name, figure in figures.items()},
        "within_interval": figures["recommend"].high >= figures["sweep"].value,
        "seconds": seconds,
        "ratio": seconds["recommend"] / seconds["sweep"],
        "tried": f"{found.n_tried} of {found.n_possible}",
        "notices": list(found.notices),
    }
    if options.json:
        print(json.dumps(row))
        return
    for name, figure in figures.items():
        value = f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
        print(f"{name}: {row['readings'][name]}, {found.criterion} {value} held out, {seconds[name]:.1f} s")
    print(
        f"within its interval: {row['within_interval']}; time: {row['ratio']:.2f} of the sweep's; tried {row['tried']}"
    )
    for notice in found.notices:
        print(notice)


if __name__ == "__main__":
    main()
