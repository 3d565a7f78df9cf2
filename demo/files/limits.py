"""Limits on an uploaded file, and the words in which an entrance refuses what it does not accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from demo.domain.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """How much one file may hold. Each entrance has a subclass, which says what it accepts."""

    rows: int = 20_000
    characters: int = 20_000  # of a text
    bytes: int = 5 * 2**20  # unpacked; each tab sets its own
    columns: int = 64

    field: ClassVar[str] = "file"  # of the page, that errors belong to
    accepted: ClassVar[str] = "Accepted: tables."  # the sentence that ends a refusal
    unit: ClassVar[str] = "rows"  # how a row is called in a refusal
    gzipped: ClassVar[bool] = False  # whether gzip is unpacked

    def refuse(self, problem: str, accepted: bool = True) -> BadInput:
        """The error to raise; accepted: whether the sentence on what is accepted follows the problem."""
        return BadInput(field=self.field, problem=f"{problem} {self.accepted}" if accepted else problem)

    def check_rows(self, count: int) -> None:
        """Raises BadInput above the limit."""
        if count > self.rows:
            problem = f"The file has more than {self.rows:,} {self.unit}. At most {self.rows:,} are accepted."
            raise self.refuse(problem, accepted=False)

    def check_width(self, count: int) -> None:
        """Raises BadInput for a single column and above the limit."""
        if count < 2:
            raise self.refuse("The file has a single column.")
        if count > self.columns:
            raise self.refuse(f"The file has {count:,} columns. At most {self.columns:,} are accepted.", accepted=False)
