"""The article's experiment: how it reads a model, and the figures that stand in it. Facts only; knows no engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import (
    LAST_LAYER,
    Comparison,
    ModelInfo,
    Pairing,
    Pooling,
    Postprocess,
    Prompt,
    Reading,
)
from demo.stages.similarity import score_pairs

# Cosines as printed there, rounded: questions 1, 2 down, answers 1, 2 across; by the models' ids in the catalogue.
PRINTED: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "mistral-7b-instruct-v0.1": ((0.96, 0.90), (0.93, 0.94)),
    "e5-mistral-7b-instruct": ((0.88, 0.56), (0.67, 0.84)),
}


def procedure(info: ModelInfo) -> dict[str, Any]:
    """How the article would read this model, as the lab takes a reading.

    Chat template and last-token logits; what a model lacks is replaced by what comes nearest: the plain text, and the
    last hidden state, of which the logits of a head that was made up on the spot are a random projection.
    """
    return {
        "prompt": (Prompt.CHAT if info.has_chat_template else Prompt.PLAIN).value,
        "pooling": (Pooling.LAST_TOKEN_LOGITS if info.has_lm_head else Pooling.LAST_TOKEN).value,
        "layer": LAST_LAYER,
        "eos": False,
        "postprocess": Postprocess.NONE.value,
    }


def printed(model: str, pairing: Pairing) -> Comparison:
    """The figures that stand in the article, as if the lab had answered them. pairing: the article's four texts."""
    similarity = np.array(PRINTED[model], dtype=np.float32)
    return Comparison(
        pairing=pairing,
        similarity=similarity,
        metrics=score_pairs(similarity, pairing.mask()),
        reading=Reading(model, Prompt.CHAT, Pooling.LAST_TOKEN_LOGITS),
        provenance={"model": CATALOG[model].name},
    )
