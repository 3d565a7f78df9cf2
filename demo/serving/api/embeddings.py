"""Embeddings for other programs: as `Lab.embed`, for more texts, with the tokens counted. Knows no protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.domain.choices import Role
from demo.domain.datamodels import Reading
from demo.lab import Lab
from demo.stages.resolve_reading import refuse_too_many_numbers
from demo.stages.texts import cut_notice

MOST_NUMBERS = 2**22  # of a response: 16 MiB of vectors, four times that as JSON


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Texts under one reading."""

    reading: Reading
    vectors: np.ndarray  # float32 (n_texts, dim), post-processed
    n_tokens: int  # that the model read, prompts included
    truncated: tuple[int, ...]  # indices of texts that were longer than the model takes
    notices: tuple[str, ...]


def embed_texts(
    lab: Lab, texts: Sequence[str], role: Role, options: Mapping[str, Any], most: int, truncate: bool = True
) -> Embeddings:
    """The texts' vectors, equal to `lab.embed`. options: model and reading, for the lab; most: numbers of a response.

    truncate: as in `lab.embed`.

    The cache keeps the vectors only: a program's thousands of texts must not evict people's.
    """
    info = lab.open(options.get("model"))
    reading = lab.reading(**options)
    refuse_too_many_numbers(info, reading, len(texts), most)
    # Before the vectors: counting raises for a model that runs elsewhere, and so no text is sent there.
    tokens = lab.engine.count_tokens(lab.prompted(texts, reading, role), reading.model)
    found = lab.embed_texts(texts, reading, role, truncate, keep=False)
    return Embeddings(reading, found.vectors, sum(tokens), found.cut, cut_notice(found, "texts"))
