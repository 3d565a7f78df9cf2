"""Limits on an uploaded file, and the words in which an entrance refuses what it does not accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from demo.domain.errors import BadInput

_TEXTS, _MARKUP = (
    4,
    20,
)  # times the limit on bytes that a packed file may hold in texts, and with the markup around them


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """How much one file may hold. Each entrance has a subclass."""

    rows: int = 20_000
    characters: int = 20_000  # of a text
    bytes: int = 5 * 2**20  # unpacked from gzip; each tab sets its own
    columns: int = 64
    advice: str = "Name the columns question and answer in the first row."  # where it is not clear which is which
    portion_advice: str = ""  # where a file is too large and a part of it may be taken
    label_advice: str = "Name the column score if it holds grades; else write 1 for right and 0 for wrong."

    field: ClassVar[str] = "file"  # of the page, that errors belong to
    accepted: ClassVar[str] = (
        "Accepted: CSV, TSV, TXT, JSON, JSONL, Excel's .xlsx and Parquet, with a column of questions (question, query, "
        "prompt …), one of answers (answer, positive, completion …) and, if any, one of labels (label, score …)."
    )

    def refuse(self, problem: str, accepted: bool = True) -> BadInput:
        """The error to raise; accepted: whether the sentence on what is accepted follows the problem."""
        return BadInput(field=self.field, problem=f"{problem} {self.accepted}" if accepted else problem)

    def check_rows(self, count: int) -> None:
        """Raises BadInput above the limit."""
        if count > self.rows:
            problem = f"The file has more than {self.rows:,} rows. At most {self.rows:,} are accepted."
            raise self.refuse(problem, accepted=False)

    def check_unpacked(self, count: int, texts: bool = False) -> None:
        """Raises BadInput where an .xlsx or Parquet file holds too much. count: bytes; texts: of its texts alone."""
        most = (_TEXTS if texts else _MARKUP) * self.bytes
        if count > most:
            problem = f"The file unpacks to too much. At most {most / 2**20:g} MiB are accepted."
            raise self.refuse(problem, accepted=False)

    def check_width(self, count: int) -> None:
        """Raises BadInput for a single column and above the limit."""
        if count < 2:
            raise self.refuse("The file has a single column.")
        if count > self.columns:
            raise self.refuse(f"The file has {count:,} columns. At most {self.columns:,} are accepted.", accepted=False)
