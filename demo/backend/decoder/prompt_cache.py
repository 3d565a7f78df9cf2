"""Recent: texts that ran alone of late, so that of the next version of one only what is new in it runs.

Whoever types at the end of a text asks for its beginning again at every letter. Servers that generate keep what was
asked before in the same way (automatic prefix caching, vLLM). To keep a text costs its pass 2 ms, so one is kept only
where another has begun like it: somebody types.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from cachetools import LRUCache

from demo.backend.decoder.kv_prefix import KVPrefix

_BYTES = 64 * 2**20
_LEAST = 4  # tokens that are worth not to run; texts that share so many begin alike


@dataclass(frozen=True)
class _Seen:
    """The last text with some beginning, and its pass where it was kept."""

    input_ids: tuple[int, ...]
    whole: KVPrefix | None

    @property
    def nbytes(self) -> int:
        return 8 * len(self.input_ids) + (self.whole.nbytes if self.whole else 0)


class PromptCache:
    """Texts by what follows the `known` tokens of their prompt, of each beginning the last; for several threads."""

    def __init__(self, bytes_a_token: int):
        self._bytes_a_token = bytes_a_token  # of what a pass leaves
        self._lock = threading.Lock()
        self._seen: LRUCache[tuple[int, ...], _Seen] = LRUCache(_BYTES, getsizeof=lambda seen: seen.nbytes)

    def find(self, input_ids: tuple[int, ...], known: int) -> tuple[KVPrefix | None, bool]:
        """(What need not run of a text, its last token never; whether to keep the text after its pass)."""
        key = input_ids[: known + _LEAST]
        too_long = len(input_ids) * self._bytes_a_token > _BYTES  # told before the pass, which then takes nothing down
        if too_long or len(input_ids) <= len(key):
            return None, False
        with self._lock:
            seen = self._seen.get(key)
            if seen is None:
                self._seen[key] = _Seen(input_ids, None)
                return None, False
        if seen.whole is None:
            return None, True
        return seen.whole.cut(len(os.path.commonprefix([seen.input_ids, input_ids[:-1]]))), True

    def keep(self, input_ids: tuple[int, ...], known: int, whole: KVPrefix) -> None:
        """A text after its pass, where `find` said so."""
        with self._lock:
            self._seen[input_ids[: known + _LEAST]] = _Seen(input_ids, whole)
