"""Live training as the page does it: seconds until the article's texts are apart and held-out pairs are told apart.

    python -m tests.benchmarks.training              # every effort of the Train tab, on the lab's own pairs

Prints, for each effort: when the margin of the article's texts first reached .25 with a held-out AUC of at least .90,
the longest wait between two looks, and where the run ended. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import time

from demo import Lab
from demo.domain.recipe import EFFORTS
from demo.files.bundled import load_training
from demo.ui.live.examples import load_examples

MARGIN, AUC = 0.25, 0.90


def measure(lab: Lab, effort: str) -> dict:
    """One run. Seconds count from the call that begins it, the model being in memory."""
    article = next(iter(load_examples().values()))
    lab.open("smollm2-135m-instruct")
    started = time.perf_counter()
    run = lab.train(
        list(load_training().values()),
        article.questions,
        article.answers,
        model="smollm2-135m-instruct",
        prompt="prompteol",
        pooling="last_token",
        how=EFFORTS[effort],
    )
    reached, waits, last, auc = None, [], started, None
    for event in run.events():
        if event.snapshot is None:
            continue
        now = time.perf_counter()
        waits.append(now - last)
        last = now
        auc = event.snapshot.held.auc if event.snapshot.held else auc
        if reached is None and event.snapshot.step and event.snapshot.metrics.margin >= MARGIN and auc >= AUC:
            reached = now - started
    look = run.last_snapshot
    return {
        "effort": effort,
        "seconds_to_goal": reached,
        "seconds": time.perf_counter() - started,
        "longest_wait": max(waits[1:], default=None),
        "seconds_to_first_look": waits[0],
        "margin": look.metrics.margin,
        "held_out_auc": look.held_out.auc,
        "similarity": [[round(float(value), 3) for value in row] for row in look.similarity],
        "trainable": run.training.trainable,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", action="append", help="repeat for more; all of them without it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lab = Lab(device="cpu")
    rows = [measure(lab, effort) for effort in options.effort or EFFORTS]
    if options.json:
        print(json.dumps({"device": lab.device().name, "precision": lab.device().precision, "rows": rows}))
        return
    for row in rows:
        print(", ".join(f"{name} {round(v, 3) if isinstance(v, float) else v}" for name, v in row.items()))


if __name__ == "__main__":
    main()
