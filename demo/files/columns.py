"""Columns: which column of a table holds the questions, answers, hard negatives and labels.

By what a person says (`ColumnChoice`), by names that are known, and by the ones and zeros that a column of any name
holds; else the table is refused. For a page that lets people choose, `guess_columns` proposes instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from demo.domain.errors import BadInput
from demo.files.labels import parse_label
from demo.files.limits import FileLimits
from demo.files.roles import name_roles, names_grades, places_by_role, plain_name
from demo.files.table import Table, fit_to_show

EACH_ROW, UNKNOWN = "each_row", "unknown"  # in the place of a label column: a row is a right pair; nothing is known
NO_LABEL = "none"  # a person's word for EACH_ROW
_ROLES = ("question", "answer", "label")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, by their places."""

    question: int
    answer: int
    label: int | str = EACH_ROW  # a column, or EACH_ROW, or UNKNOWN
    negatives: tuple[int, ...] = ()  # hard negatives: wrong answers that look right
    right: tuple[str, ...] = ()  # the labels that mean right, where they are not 1 and true
    grades: bool = False  # whether the labels are grades, whatever they look like


@dataclass(frozen=True)
class ColumnChoice:
    """What a person says of a file's columns; "" and None where nothing was said."""

    question: str = ""  # a name, or a place from 1
    answer: str = ""
    label: str = ""  # as the others, or NO_LABEL
    right: tuple[str, ...] = ()
    grades: bool = False
    header: bool | None = None  # whether the first row names the columns


ANY = ColumnChoice()


def choose_columns(table: Table, limits: FileLimits, choice: ColumnChoice = ANY) -> tuple[Table, Columns]:
    """(the table with its names told from its rows, and a notice on what was not read; its columns). Raises BadInput.

    Without names, two columns are question and answer, and a third one of numbers is the label.
    """
    table = _settle_header(table, choice)
    stated = {role: getattr(choice, role) for role in _ROLES}
    found = {role: _find(table, said, limits) for role, said in stated.items() if said not in ("", NO_LABEL)}
    known = places_by_role(table.cells[0]) if table.named else {}
    width = len(table.cells[0])
    if not table.named and "question" not in found and "answer" not in found and width <= 3:
        labelled = width == 3 and parse_label(table.cells[0][2], table.separator) is not None
        if width == 2 or labelled:
            found = {"question": 0, "answer": 1} | ({"label": 2} if labelled and not choice.label else {}) | found
    for role in ("question", "answer"):
        places = [place for place in known.get(role, ()) if place not in found.values()]
        if role not in found and not places:
            raise _refuse_unknown(table, role, known, limits)
        found.setdefault(role, *places[:1])
    if "label" not in found and choice.label != NO_LABEL:
        found |= _find_label(table, found, known, limits)
    negatives = tuple(place for place in known.get("negative", ()) if place not in found.values())
    grades = choice.grades or _named_grades(table, found)
    columns = Columns(**found, negatives=negatives, right=choice.right, grades=grades)
    check_columns(table, columns, limits)
    return replace(table, notices=table.notices + describe_columns(table, columns)), columns


def settle_columns(table: Table, limits: FileLimits, choice: ColumnChoice | Columns) -> tuple[Table, Columns]:
    """As `choose_columns`; columns that are settled already are checked, and must say what belongs together."""
    if isinstance(choice, ColumnChoice):
        return choose_columns(table, limits, choice)
    check_columns(table, choice, limits)
    if choice.label == UNKNOWN:
        raise limits.refuse("Nothing says which answers belong to which questions: right pairs are needed.", False)
    return table, choice


def propose_columns(table: Table, limits: FileLimits) -> tuple[Columns, bool]:
    """(columns, True) as `choose_columns` chooses them; where that refuses, (a guess for a person to change, False)."""
    try:
        return choose_columns(table, limits)[1], True
    except BadInput:
        return guess_columns(table), False


def complete_columns(table: Table, question: int, answer: int, label: int | str) -> Columns:
    """The columns that a person chose, with the hard negatives and grades that names tell of."""
    places = {"question": question, "answer": answer, "label": label}
    known = {role: place for role, place in places.items() if isinstance(place, int) and 0 <= place < len(table.names)}
    return Columns(**places, negatives=negative_places(table, places.values()), grades=_named_grades(table, known))


def check_columns(table: Table, columns: Columns, limits: FileLimits) -> None:
    """Raises BadInput for a column that the table has not, or that cannot hold what it is to hold."""
    width = len(table.names)
    chosen = {"question": columns.question, "answer": columns.answer, "label": columns.label}
    places = {role: place for role, place in chosen.items() if isinstance(place, int)}
    if not all(0 <= place < width for place in places.values()):
        raise limits.refuse(f"There is no such column. Accepted: one of the file's {width:,} columns.", False)
    if columns.question == columns.answer:
        raise limits.refuse("Question and answer are the same column. Accepted: two different columns.", False)
    for role, place in places.items():
        if role != "answer" and any(len(texts) > 1 for texts in table.lists.get(place, ())):
            name = table.names[place]
            raise limits.refuse(f"The column “{name}” holds several texts in a row. Accepted: one {role} a row.", False)


def guess_columns(table: Table) -> Columns:
    """As `choose_columns`, but where that refuses, the first two columns that hold words: a person can change it."""
    width = len(table.names)
    labelled = width == 3 and all(parse_label(row[2], table.separator) in (0, 1) for row in table.rows)
    if not table.named and (width == 2 or labelled):
        return Columns(0, 1, 2 if labelled else EACH_ROW)
    roles = name_roles(table.cells[0]) if table.named else [None] * width
    known = places_by_role(table.cells[0]) if table.named else {}
    found = {role: known[role][0] for role in _ROLES if known.get(role)}
    # Then columns without a known name, those with words first, in their order; ids and labels come last.
    others = [place for place in range(width) if place not in (found.get("question"), found.get("answer"))]
    truths = [] if "label" in found else _truth_columns(table, found)
    others.sort(key=lambda place: (roles[place] is not None, place in truths, not _holds_words(table, place)))
    for role in ("question", "answer"):
        if role not in found:
            found[role] = others.pop(0)
    if found.get("label") in (found["question"], found["answer"]):
        del found["label"]
    if "label" not in found:
        found |= dict(zip(["label"], _truth_columns(table, found), strict=False))
    return complete_columns(table, found["question"], found["answer"], found.get("label", EACH_ROW))


def negative_places(table: Table, taken) -> tuple[int, ...]:
    """The columns of hard negatives by their names, beside the columns that hold something else."""
    named = places_by_role(table.cells[0])["negative"] if table.named else ()
    return tuple(place for place in named if place not in taken)


def _settle_header(table: Table, choice: ColumnChoice) -> Table:
    """Whether the first row names the columns: as a person says, or because a column was chosen by a name in it."""
    if not table.may_be_unnamed:
        return table
    if choice.header is not None:
        return replace(table, named=choice.header)
    said = {plain_name(name) for name in (choice.question, choice.answer, choice.label) if name}
    return replace(table, named=table.named or bool(said & set(map(plain_name, table.cells[0]))))


def _find(table: Table, said: str, limits: FileLimits) -> int:
    """The place of a column that a person names: by its name, else by its place from 1. Raises BadInput."""
    names = [plain_name(name) for name in table.cells[0]] if table.named else []
    if plain_name(said) in names:
        return names.index(plain_name(said))
    if said.isdecimal() and 1 <= int(said) <= len(table.cells[0]):
        return int(said) - 1
    _refuse_unread(table, [name for name in table.unread if plain_name(name) == plain_name(said)], limits)
    accepted = ", ".join(f"“{name}”" for name in table.names[:12])
    raise limits.refuse(
        f"There is no column “{fit_to_show(said, 60)}”. Accepted: {accepted}, or a place from 1.", False
    )


def _refuse_unknown(table: Table, role: str, known: dict[str, list[int]], limits: FileLimits) -> BadInput:
    """The error to raise where no column is known to hold the questions, or the answers."""
    _refuse_unread(
        table, [name for name, its in zip(table.unread, name_roles(table.unread), strict=True) if its == role], limits
    )
    if not table.named:
        return limits.refuse(f"The first row does not name the columns. {limits.advice}")
    names = ", ".join(f"“{name}”" for name in table.names[:12])
    if not any(known.values()):
        return limits.refuse(f"No name of a column is known: {names}. {limits.advice}")
    return limits.refuse(f"The first row names no {role} column: {names}. {limits.advice}")


def _refuse_unread(table: Table, names: list[str], limits: FileLimits) -> None:
    for name in names:
        raise limits.refuse(
            f"The column “{fit_to_show(name, 60)}” holds {table.unread[name]}. Accepted: texts, lists of texts, or "
            "objects with a text.",
            accepted=False,
        )


def _find_label(table: Table, found: dict[str, int], known: dict[str, list[int]], limits: FileLimits) -> dict[str, int]:
    """The label column, where there is one: by its name, else the only column of ones and zeros. Raises BadInput."""
    places = [place for place in known.get("label", ()) if place not in found.values()]
    readable = [
        place for place in places if all(parse_label(row[place], table.separator) is not None for row in table.rows)
    ]
    places = readable or places or _truth_columns(table, found)
    if len(places) > 1:
        names = ", ".join(f"“{table.names[place]}”" for place in places)
        raise limits.refuse(
            f"Several columns may be the label: {names}. One is accepted. {limits.label_advice}", accepted=False
        )
    return dict(zip(["label"], places, strict=False))


def _truth_columns(table: Table, found: dict[str, int]) -> list[int]:
    """Columns of an unknown name whose cells are all 1 or 0, true or false, both of them; not an index."""
    if not table.named:
        return []
    roles = enumerate(zip(name_roles(table.cells[0]), table.cells[0], strict=True))
    free = [place for place, (role, name) in roles if name and role is None and place not in found.values()]
    return [place for place in free if _holds_truths(table, place)]


def _holds_truths(table: Table, place: int) -> bool:
    """Whether a column holds 1 and 0, true and false, and nothing else."""
    seen: set[float] = set()
    for row in table.rows:
        label = parse_label(row[place], table.separator)
        if label not in (0, 1):
            return False
        seen.add(label)
    return len(seen) == 2


def _named_grades(table: Table, found: dict[str, int]) -> bool:
    """Whether the label column's name says that whole numbers beside 0 and 1 are grades."""
    place = found.get("label")
    if place is None or not table.named or not names_grades(table.cells[0][place]):
        return False
    return not {parse_label(row[place], table.separator) for row in table.rows} <= {0, 1}


def describe_columns(table: Table, columns: Columns) -> tuple[str, ...]:
    """A notice on what was taken for what, unless known names alone say it."""
    if not table.named:
        return ("The first row names no columns, so it is read as texts.",) if table.may_be_unnamed else ()
    by_name = places_by_role(table.cells[0])
    used = {"question": [columns.question], "answer": [columns.answer]}
    used |= {"label": [columns.label]} if isinstance(columns.label, int) else {}
    taken = {*columns.negatives, *(place for places in used.values() for place in places)}
    others = [
        table.names[place]
        for place, role in enumerate(name_roles(table.cells[0]))
        if place not in taken and role != "id" and table.cells[0][place]
    ]
    if not others and all(place in by_name[role] for role, places in used.items() for place in places):
        return ()
    parts = {"Questions": used["question"], "Answers": used["answer"], "Labels": used.get("label", ())}
    parts["Hard negatives"] = list(columns.negatives)
    said = [
        f"{what}: {', '.join(f'“{table.names[place]}”' for place in places[:3])}."
        for what, places in parts.items()
        if places
    ]
    if others:
        said.append(f"Not used: {', '.join(others[:8])}.")
    return (" ".join(said),)


def _holds_words(table: Table, place: int) -> bool:
    """Whether a column is a text: it has letters in more than half of its cells."""
    cells = [row[place] for row in table.rows if row[place]]
    return sum(any(letter.isalpha() for letter in cell) for cell in cells) > len(cells) / 2
