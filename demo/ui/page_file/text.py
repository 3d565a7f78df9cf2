"""What was recognised in the page's file, in words. Knows no widget."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from demo.domain.errors import DemoError
from demo.files.columns import EACH_ROW, UNKNOWN, describe_columns
from demo.files.labels import parse_label
from demo.files.table import Table, fit_to_show
from demo.ui.kit.html import Cell, render_cells
from demo.ui.kit.i18n import LOCALES, translate, translate_error, translate_phrase
from demo.ui.kit.text import render_note
from demo.ui.page_file.registry import PageFile

_LETTERS = 20_000  # of the texts that are looked at for their script
_SHARE = 0.1  # of the letters that a script must have to be named
_LONGEST_NAME = 40
_PREVIEWED = 3  # rows
_MAX_COLUMNS = 8  # of the preview
_MAX_LETTERS = 160  # of a text in the preview


def file_label(language: str, file: PageFile) -> str:
    """`faq.xlsx · 60 rows`."""
    name = fit_to_show(file.table.name, _LONGEST_NAME)
    count = len(file.table.rows)
    return translate(
        language, "page_file.label_one" if count == 1 else "page_file.label", name=name, count=f"{count:,}"
    )


def render_recognised(language: str, file: PageFile) -> str:
    """Name, rows, columns, labels, script, and how the file was read."""
    table, columns = file.table, file.columns
    named = {place: name for name, place in column_choices(language, table)}
    names = {role: named[getattr(columns, role)] for role in ("question", "answer")}
    said = [translate(language, "page_file.columns", **names), _labels(language, file), _letters(language, file)]
    if columns.negatives:
        listed = ", ".join(table.names[place] for place in columns.negatives)
        said.insert(1, translate(language, "page_file.negatives", names=listed))
    notices = [*table.notices, *(describe_columns(table, columns) if not table.named else ())]
    said += [translate_phrase(language, notice) for notice in notices]
    unsure = "" if file.sure else f'<p class="caution">{escape(translate(language, "page_file.guessed"))}</p>'
    return f"<p><b>{escape(file_label(language, file))}</b></p>{render_note(' '.join(filter(None, said)))}{unsure}"


def note_part(language: str, file: PageFile, notices: Iterable[str], said: str = "") -> str:
    """What a tab says of its part beyond what is said of the file. said: its numbers."""
    news = (translate_phrase(language, one) for one in notices if one not in file.table.notices)
    return " ".join(filter(None, (said, *news)))


def render_part(language: str, file: PageFile | None, describe: Callable[[PageFile], str]) -> str:
    """What a tab takes of the file, as `describe` says it, or why it takes nothing."""
    if file is None:
        return render_note("", translate(language, "page_file.gone"))
    try:
        return render_note(describe(file))
    except DemoError as error:
        return render_note("", translate_error(language, error))


def column_choices(language: str, table: Table) -> list[tuple[str, int]]:
    """The columns to choose from: (a unique name, place)."""
    names = table.names
    numbered = translate(language, "page_file.column", place="{}")
    choices = []
    for place, name in enumerate(names):
        if not table.named or not name:
            name = numbered.format(place + 1)
        elif names.count(name) > 1:
            name = f"{name} ({place + 1})"
        choices.append((name, place))
    return choices


def label_choices(language: str, table: Table) -> list[tuple[str, Any]]:
    """The choices of what belongs together: each row, not known, or what a column says."""
    fixed = [(translate(language, f"label.page_file_label_{name}"), name) for name in (EACH_ROW, UNKNOWN)]
    by_column = translate(language, "page_file.by_column", name="{}")
    return fixed + [(by_column.format(name), place) for name, place in column_choices(language, table)]


def render_preview(language: str, file: PageFile) -> str:
    """The first rows as a table. The chosen columns are marked with their roles, and always among those shown."""
    table, columns = file.table, file.columns
    roles = {columns.question: "question", columns.answer: "answer"}
    if isinstance(columns.label, int):
        roles.setdefault(columns.label, "label")
    others = [place for place in range(len(table.names)) if place not in roles]
    shown = {*roles, *others[: max(0, _MAX_COLUMNS - len(roles))]}
    badges = {place: translate(language, f"page_file.role.{role}") for place, role in roles.items()}
    css = dict.fromkeys(roles, "chosen")
    head = [
        Cell(name, badges.get(place, ""), css=css.get(place, ""))
        for name, place in column_choices(language, table)
        if place in shown
    ]
    rows = [
        [
            Cell(fit_to_show(text, _MAX_LETTERS), css=css.get(place, ""))
            for place, text in enumerate(row)
            if place in shown
        ]
        for row in table.rows[:_PREVIEWED]
    ]
    return render_cells(language, translate(language, "page_file.preview", count=_PREVIEWED), head, rows)


def _labels(language: str, file: PageFile) -> str:
    label, table = file.columns.label, file.table
    if not isinstance(label, int):
        return translate(language, f"page_file.labels.{'unknown' if label == UNKNOWN else 'each_row'}")
    values = Counter(parse_label(row[label], table.separator) for row in table.rows)
    name = {place: name for name, place in column_choices(language, table)}[label]
    counts: dict[str, Any] = {"name": name, "right": f"{values[1]:,}", "wrong": f"{values[0]:,}"}
    if values.keys() <= {0, 1} and not file.columns.grades:
        return translate(language, "page_file.labels.truth", **counts)
    numbers = [value for value in values if value is not None]
    if len(numbers) == len(values):
        counts |= {"low": f"{min(numbers):g}", "high": f"{max(numbers):g}"}
        return translate(language, "page_file.labels.numbers", **counts)
    return translate(language, "page_file.labels.other", **counts)


def _letters(language: str, file: PageFile) -> str:
    """The scripts of the texts, with their shares."""
    scripts: Counter[str] = Counter()
    seen = 0
    for row in file.table.rows:
        for place in (file.columns.question, file.columns.answer):
            letters = [letter for letter in row[place] if letter.isalpha()]
            scripts.update(unicodedata.name(letter, "?").split()[0].lower() for letter in letters)
            seen += len(letters)
        if seen > _LETTERS:
            break
    named = [(script, count / seen) for script, count in scripts.most_common() if count >= _SHARE * seen]
    if not named:
        return ""
    shares = ", ".join(f"{_script(language, script)} {100 * share:.0f} %" for script, share in named)
    return translate(language, "page_file.letters", shares=shares)


def _script(language: str, script: str) -> str:
    key = f"page_file.script.{script}"
    return translate(language, key) if key in LOCALES["en"] else script.title()
