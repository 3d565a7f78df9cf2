"""A pasted table: rows of a spreadsheet become the texts of both boxes, read as a file's rows are, or the page's file.

Knows no widget.
"""

from __future__ import annotations

import json
from typing import Any

from demo.domain.datamodels import Pairing
from demo.domain.errors import DemoError, NoTexts, TooManyTexts
from demo.files.columns import propose_columns
from demo.files.pairing import PairingLimits, pair_up
from demo.files.table import table_of_rows
from demo.lab import Lab
from demo.ui.kit.i18n import translate, translate_error
from demo.ui.kit.unexpected import explain_error
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile


def read_pasted(language: str, lab: Lab, page: str, pasted: Any) -> dict[str, Any]:
    """JSON of a browser, a list of rows of cells, becomes {fields: the boxes' texts, said} or {said: what is wrong}.

    A table that is too large for the boxes becomes the file of the page, unless it has one: {file: True, said}.
    page: its id.
    """
    try:
        rows = json.loads(pasted) if isinstance(pasted, str) else None
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            return {}
        LIMITS.check_rows(len(rows))
        width = max(map(len, rows), default=0)
        padded = [(at, [str(cell) for cell in row] + [""] * (width - len(row))) for at, row in enumerate(rows, start=1)]
        table = table_of_rows(padded, translate(language, "paste.name"), LIMITS)
        columns, _ = propose_columns(table, LIMITS)
        limits = lab.limits
        most = PairingLimits(texts=limits.texts, characters=limits.characters)
        pairing = pair_up(table, columns, most)
        if not pairing.matches:
            raise LIMITS.refuse("No pair is labelled 1. At least one right pair is accepted.", accepted=False)
    except NoTexts:
        return {}
    except TooManyTexts as error:
        problem = translate_error(language, error)
        if PAGE_FILES.get(page):
            return {"said": f"{problem} {translate(language, 'paste.has_file')}"}
        PAGE_FILES.put(page, PageFile.of(table))
        return {"file": True, "said": f"{problem} {translate(language, 'paste.file', count=f'{len(table.rows):,}')}"}
    except (DemoError, ValueError, RecursionError) as error:
        return {"said": explain_error(language, error, "a pasted table")}
    matches = _matches(pairing)
    counts = {"questions": f"{len(pairing.questions):,}", "answers": f"{len(pairing.answers):,}"}
    said = [translate(language, "paste.said", **counts)]
    said += [translate(language, "paste.names")] * table.named
    said += [translate(language, "paste.matches", count=f"{len(pairing.matches):,}")] * bool(matches)
    said += [translate(language, "paste.lines")] * any("\n" in cell for _, row in padded for cell in row)
    texts = {name: "\n".join(map(_on_one_line, getattr(pairing, name))) for name in ("questions", "answers")}
    return {"fields": {**texts, "matches": matches}, "said": " ".join(said)}


def _matches(pairing: Pairing) -> str:
    """As the box of matching pairs takes them; "" where the i-th answer belongs to the i-th question anyway."""
    straight = {(i, i) for i in range(min(len(pairing.questions), len(pairing.answers)))}
    if pairing.matches == straight:
        return ""
    return ", ".join(f"{question + 1}-{answer + 1}" for question, answer in sorted(pairing.matches))


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
