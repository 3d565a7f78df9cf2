"""Prompt cache: keeps the KV cache of recently typed texts, so that an edit recomputes only its new suffix.

Somebody who types at the end of a text sends its beginning again with every letter. Servers that generate text cache
prompts in the same way (automatic prefix caching, vLLM). Recording a text costs its pass 2 ms, so a text is recorded
only where the one before it began alike.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from cachetools import LRUCache

from demo.backend.decoder.kv_prefix import KVPrefix

_BYTES = 64 * 2**20
_LEAST = 4  # tokens that make two texts begin alike; fewer are not worth caching


@dataclass(frozen=True)
class _Entry:
    """The last text with some beginning, and its pass where it was recorded."""

    input_ids: tuple[int, ...]
    whole: KVPrefix | None

    @property
    def nbytes(self) -> int:
        return 8 * len(self.input_ids) + (self.whole.nbytes if self.whole else 0)


class PromptCache:
    """LRU within a budget of bytes, by the prompt and the first tokens after it; safe to use from several threads.

    bytes_a_token: size of a recorded token. n_prompt, below: tokens of the text that belong to the prompt.
    """

    def __init__(self, bytes_a_token: int):
        self._bytes_a_token = bytes_a_token
        self._lock = threading.Lock()
        self._entries: LRUCache[tuple[int, ...], _Entry] = LRUCache(_BYTES, getsizeof=lambda entry: entry.nbytes)

    def get(self, input_ids: tuple[int, ...], n_prompt: int) -> tuple[KVPrefix | None, bool]:
        """(The longest cached prefix of a text, without its last token; whether to record the text's pass)."""
        key = input_ids[: n_prompt + _LEAST]
        too_long = len(input_ids) * self._bytes_a_token > _BYTES
        if too_long or len(input_ids) <= len(key):
            return None, False
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = _Entry(input_ids, None)
                return None, False
        if entry.whole is None:
            return None, True
        return entry.whole.cut(len(os.path.commonprefix([entry.input_ids, input_ids[:-1]]))), True

    def put(self, input_ids: tuple[int, ...], n_prompt: int, whole: KVPrefix) -> None:
        """Keep a text's recorded pass."""
        with self._lock:
            self._entries[input_ids[: n_prompt + _LEAST]] = _Entry(input_ids, whole)
