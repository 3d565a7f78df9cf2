"""File specification: how much a file of an entrance may hold, and in which words it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from demo.domain.errors import BadInput


@dataclass(frozen=True)
class FileSpec:
    """Limits on one file, and the field and last sentence of a refusal."""

    field: str  # of the page, that errors belong to
    accepted: str  # the sentence that ends a refusal
    bytes: int
    rows: int
    characters: int  # of a text
    unit: str = "rows"  # how a row is called in a refusal
    columns: int = 64
    gzipped: bool = False  # whether gzip is unpacked

    def refuse(self, problem: str, accepted: bool = True) -> BadInput:
        """The error to raise; accepted: whether the sentence on what is accepted follows the problem."""
        return BadInput(field=self.field, problem=f"{problem} {self.accepted}" if accepted else problem)

    def check_rows(self, count: int) -> None:
        """Raises BadInput above the limit."""
        if count > self.rows:
            raise self.refuse(
                f"The file has more than {self.rows:,} {self.unit}. At most {self.rows:,} are accepted.", False
            )

    def check_width(self, count: int) -> None:
        """Raises BadInput for a single column and above the limit."""
        if count < 2:
            raise self.refuse("The file has a single column.")
        if count > self.columns:
            raise self.refuse(f"The file has {count:,} columns. At most {self.columns:,} are accepted.", False)
