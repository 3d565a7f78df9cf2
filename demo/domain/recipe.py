"""Training recipe: hyperparameters, training pairs and the report of a step. Standard library, NumPy, datamodels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from demo.domain.datamodels import Pairing, PromptedText, Reading

TRAINED = "trained:"  # before the name of a model that was trained on this machine


class Method(str, Enum):
    """Which parameters are trained; the model's own never are.

    lora: low-rank adapters on the linear layers of its upper blocks (LoRA, arXiv 2106.09685).
    projection: one linear map after the final norm, on frozen embeddings: seconds instead of minutes.
    """

    LORA = "lora"
    PROJECTION = "projection"


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters. The same recipe and texts give the same adapter."""

    reading: Reading  # the model, and how its embeddings are read while it learns
    method: Method = Method.LORA
    steps: int = 150
    batch_size: int = 64  # pairs a step: every other answer in the batch is a wrong one
    temperature: float = 0.05
    learning_rate: float = 3e-4  # at its height
    warmup: int = 15  # steps until then; a cosine brings it down to nothing at the last step
    rank: int = 16
    alpha: int = 32
    first_block: int = 10  # the lowest block, from 0, that gets an adapter; what lies below runs once a text
    max_tokens: int = 64  # of a training text with its prompt
    guide: str = ""  # a model whose cosines say how alike the texts of a batch are: soft labels; "" for none. With
    # one, a batch is of one topic, and hard negatives are what the guide says of them, not simply wrong
    guide_weight: float = 0.5  # 0: one right answer each and nothing else; 1: the guide alone
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        fields = {name: value.value if isinstance(value, Enum) else value for name, value in asdict(self).items()}
        return fields | {"reading": self.reading.to_dict()}


# The page's presets, by name: their differences from the recipe's defaults.
EFFORTS: dict[str, dict[str, Any]] = {
    "projection": {"method": Method.PROJECTION, "steps": 300, "batch_size": 64, "learning_rate": 2e-3, "warmup": 10},
    "lora_quick": {
        **{"method": Method.LORA, "steps": 60, "batch_size": 24, "learning_rate": 4e-4, "warmup": 6},
        **{"first_block": 15, "max_tokens": 48},
    },
    "lora": {"method": Method.LORA, "steps": 250, "batch_size": 24, "learning_rate": 3e-4},
}


@dataclass(frozen=True)
class Pair:
    """A question, its answer and, where one is known, a wrong answer that looks right (a hard negative)."""

    question: str
    answer: str
    negative: str = ""


@dataclass(frozen=True)
class TrainingSet:
    """Pairs of one source: a batch never mixes sources, so that recognising a source is no shortcut."""

    name: str
    pairs: tuple[Pair, ...]
    weight: float = 1.0  # how often it is drawn from, beside the square root of its size
    notices: tuple[str, ...] = field(default=(), compare=False)  # on how its file was read
    partial: bool = field(default=False, compare=False)  # whether it holds some of its file's questions only


def pairs_of(pairing: Pairing, name: str) -> TrainingSet:
    """The texts at hand as pairs to train on: every question with each answer that belongs to it."""
    matches = sorted(pairing.matches)
    return TrainingSet(name, tuple(Pair(pairing.questions[row], pairing.answers[column]) for row, column in matches))


@dataclass(frozen=True)
class PromptedPair:
    """A pair with its prompts, as a trainer receives it."""

    question: PromptedText
    answer: PromptedText
    negative: PromptedText | None = None


@dataclass(frozen=True, eq=False)
class TrainStep:
    """The report of one step."""

    step: int  # 1 … steps; 0 is the untrained model
    loss: float  # of the batch, before the step's change
    learning_rate: float
    texts_per_second: float
    example: np.ndarray  # float32 (n,): cosines of the batch's first question with its answer (first) and the others
    seconds: float = 0.0
