"""How far half precision moves cosines from float32's: python -m tests.benchmarks.precision MODEL [--texts 3].

Every prompt and pooling over the first texts of every ready set: the largest and the median difference, in bfloat16 and
by default.
"""

from __future__ import annotations

import argparse

import numpy as np

from demo import Lab
from demo.domain.datamodels import Pooling, Prompt
from demo.files.bundled import load_benchmark
from demo.stages.similarity import cos_sim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--texts", type=int, default=3, help="of each side of each set")
    arguments = parser.parse_args()
    whole = [labelled for name, labelled in load_benchmark().items() if not name.startswith("all")]
    sets = [(one.questions[: arguments.texts], one.answers[: arguments.texts]) for one in whole]
    labs = {dtype: Lab(device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16", "auto")}
    info = labs["float32"].open(arguments.model)
    print("| prompt | pooling | bfloat16, most | median | auto, most | median |\n|---|---|---|---|---|---|")
    for prompt in set(info.prompts) - {Prompt.CUSTOM}:
        for pooling in set(info.poolings) - {Pooling.FIRST_TOKEN}:
            reading = {"model": info.model, "prompt": prompt.value, "pooling": pooling.value}
            exact, half, auto = (_cosines(lab, sets, reading) for lab in labs.values())
            apart = np.abs(half - exact), np.abs(auto - exact)
            figures = " | ".join(f"{each.max():.4f} | {np.median(each):.4f}" for each in apart)
            print(f"| {prompt.value} | {pooling.value} | {figures} |", flush=True)


def _cosines(lab: Lab, sets, reading: dict) -> np.ndarray:
    cosines = []
    for texts in sets:
        sides = (
            lab.embed(side, role=role, **reading) for side, role in zip(texts, ("question", "answer"), strict=True)
        )
        cosines.append(cos_sim(*sides).ravel())
    return np.concatenate(cosines)


if __name__ == "__main__":
    main()
