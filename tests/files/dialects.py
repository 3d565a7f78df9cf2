"""Generated files: what pandas, csv, openpyxl and json write, with the pairs that were written, from a seed."""

from __future__ import annotations

import csv
import datetime
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import openpyxl
import pandas

from demo.domain.errors import DemoError
from demo.domain.whitespace import normalize_whitespace
from demo.files.columns import ColumnChoice, guess_columns
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.files.pairing import PairingLimits, pair_up
from demo.files.pairs import PairLimits, make_training_set
from demo.files.table import parse_table

PIECES = (
    *("What is it?", "Wer ist das?", "질문", "답", "물은 100도에서 끓어요.", "Ça va?", "Ärger", "¿Qué?", "naïve café"),
    *("北京", "🙂", '"', '""', '"so"', ",", ";", "\t", "|", "\n", "\r\n", "'", "=1+1", "a=b", "+1", "-0.5", "1,5"),
    *("007", "1e5", "TRUE", "NA", "null", "None", "NaN", "{", "}", "[1]", '{"a": 1}', "\x0c", "\x85", "\u2028"),
    *("\u00a0", " ", "  ", "sep=;", "#", "\\"),
)  # fmt: skip
KNOWN = [
    ("question", "answer"),
    ("Query", "Passage"),
    ("anchor", "positive"),
    ("질문", "답변"),
    ("prompt", "completion"),
]
UNKNOWN = [("frage", "antwort"), ("Spalte A", "Spalte B")]
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp949", "cp1252", "latin-1")
SEPARATORS = (",", ";", "\t", "|")
LABELS = ("label", "similar", "라벨", "is_duplicate")
Pairs = set[tuple[str, str]]
Entrance = Callable[[bytes, str, tuple[str, ...]], Pairs]  # a file's bytes, its name, the names of its columns


@dataclass(frozen=True)
class Written:
    """A file, and what was written into it."""

    how: str
    name: str
    data: bytes
    right: Pairs
    header: tuple[str, ...]  # () where the file has none
    refusals: tuple[str, ...]  # what a refusal may say: this file can be read in two ways, or not at all


def write(seed: int) -> Written:
    """The file of a seed."""
    rng = random.Random(seed)
    rows = [("The first question?", "The first answer."), ("둘째 질문이에요?", "둘째 답이에요.")]
    rows += [(_text(rng), _text(rng)) for _ in range(rng.randint(0, 6))]
    labels = [1, 1, *(rng.randint(0, 1) for _ in rows[2:])] if rng.random() < 0.4 and len(rows) > 2 else []
    known: dict[tuple[str, str], int] = {}
    if labels:  # one label a pair, and both of them
        labels = [known.setdefault(_read(row), label) for row, label in zip(rows, labels, strict=True)]
        labels = labels if 0 in labels else []
    right = {_read(row) for place, row in enumerate(rows) if not labels or labels[place]}
    header = rng.choice([*KNOWN, *UNKNOWN]) + ((rng.choice(LABELS),) if labels else ())
    writer = rng.choice([_csv, _csv, _pandas_csv, _json, _pandas_json, _excel, _pandas_excel, _parquet])
    return writer(rng, rows, labels, right, header)


def _text(rng: random.Random) -> str:
    pieces = (rng.choice(PIECES) for _ in range(rng.randint(1, 4)))
    text = "".join(piece + rng.choice(["", " "]) for piece in pieces)
    return text if _read((text, ""))[0] and not text.lstrip().startswith("'") else "x" + text


def _read(row: tuple[str, str]) -> tuple[str, str]:
    """A pair as it is to be read: without spaces around its texts, in white space that a model knows."""
    question, answer = (normalize_whitespace(text).strip() for text in row)
    return question, answer


def _table(rows: list, labels: list, kind: Callable = int) -> list[list]:
    return [[*row, *([kind(labels[place])] if labels else [])] for place, row in enumerate(rows)]


def _encode(rng: random.Random, content: str) -> tuple[bytes, tuple[str, ...]]:
    """In an encoding that has all letters. What is not UTF-8, UTF-16 or Korean is refused."""
    order = rng.sample(ENCODINGS, len(ENCODINGS))
    encoding = next(name for name in [*order, "utf-8"] if _has(name, content))
    data = content.encode(encoding)
    refused = ("is not UTF-8",) if encoding in ("cp1252", "latin-1", "cp949") and not content.isascii() else ()
    return data, refused


def _has(encoding: str, content: str) -> bool:
    try:
        content.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _delimited(rng, how: str, content: str, separator: str, right: Pairs, header, named: bool) -> Written:
    data, refusals = _encode(rng, content)
    if separator == "\t" and '"' in content:
        refusals += ("Row .* cannot be read", "Row .* columns")  # raw or quoted: both can be
    if not named:
        refusals += ("No name of a column is known", "does not name the columns", "seem")
    return Written(
        how, rng.choice(["set.csv", "set.tsv", "set.txt", "SET"]), data, right, header if named else (), refusals
    )


def _csv(rng, rows, labels, right, header) -> Written:
    separator, end = rng.choice(SEPARATORS), rng.choice(["\n", "\r\n"])
    declared, named = separator == "|" or rng.random() < 0.2, rng.random() < 0.8
    file = io.StringIO(newline="")
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)
    table = _table(rows, labels, rng.choice([int, bool]))
    blank = [[""] * len(table[0])] if rng.random() < 0.3 else []
    writer.writerows([*([header] if named else []), *table[:1], *blank, *table[1:]])
    content = f"sep={separator}{end}" * declared + file.getvalue()
    return _delimited(rng, f"csv.writer {separator!r} {quoting}", content, separator, right, header, named)


def _pandas_csv(rng, rows, labels, right, header) -> Written:
    separator = rng.choice(SEPARATORS[:3])
    frame = pandas.DataFrame(_table(rows, labels, rng.choice([int, bool])), columns=list(header))
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    content = frame.to_csv(index=rng.random() < 0.3, sep=separator, quoting=quoting)
    return _delimited(rng, f"pandas.to_csv {separator!r}", content, separator, right, header, True)


def _json(rng, rows, labels, right, header) -> Written:
    records = [dict(zip(header, row, strict=True)) for row in _table(rows, labels, rng.choice([int, bool]))]
    if rng.random() < 0.3:
        records = [{**record, "tags": ["x"], "meta": {"n": 1}} for record in records]
    plain = {"ensure_ascii": rng.random() < 0.5}
    how = rng.choice(["list", "indented", "lines", "columns", "wrapped"])
    content = {
        "list": lambda: json.dumps(records, **plain),
        "indented": lambda: json.dumps(records, indent=2, **plain),
        "lines": lambda: "\n".join(json.dumps(record, **plain) for record in records),
        "columns": lambda: json.dumps({name: [one[name] for one in records] for name in header}, **plain),
        "wrapped": lambda: json.dumps({"version": "1", "data": records}, **plain),
    }[how]()
    data, refusals = _encode(rng, content)
    name = rng.choice(["set.jsonl", "set.ndjson", "set.txt"] if how == "lines" else ["set.json", "set.txt", "set"])
    return Written(f"json.dumps {how}", name, data, right, header, refusals)


def _pandas_json(rng, rows, labels, right, header) -> Written:
    frame = pandas.DataFrame(_table(rows, labels), columns=list(header))
    orient = rng.choice(["columns", "records", "split", "table", "lines"])
    lines = {"orient": "records", "lines": True} if orient == "lines" else {"orient": orient}
    content = frame.to_json(force_ascii=rng.random() < 0.5, **lines)
    return Written(
        f"pandas.to_json {orient}",
        "set.jsonl" if orient == "lines" else "set.json",
        content.encode(),
        right,
        header,
        (),
    )


FORMULA = "holds a formula without its result"


def _excel(rng, rows, labels, right, header) -> Written:
    book = openpyxl.Workbook()
    sheet = book.active
    rows = [tuple(_legal(text) for text in row) for row in rows]
    right = {_read(row) for place, row in enumerate(rows) if not labels or labels[place]}
    rows.append((datetime.date(2024, 5, 1), 12))
    right.add(("2024-05-01", "12"))
    table = _table(rows, [*labels, 1] if labels else [], rng.choice([int, bool]))
    blank = [[]] if rng.random() < 0.5 else []
    for row in [*blank, header, *table[:1], *blank, *table[1:]]:
        sheet.append(list(row))
    if rng.random() < 0.3:
        book.create_sheet("notes").append(["nothing", "of", "interest", "here"])
    if rng.random() < 0.3:
        book.create_sheet("empty", 0)
    file = io.BytesIO()
    book.save(file)
    return Written("openpyxl", rng.choice(["set.xlsx", "set.csv"]), file.getvalue(), right, header, (FORMULA,))


def _pandas_excel(rng, rows, labels, right, header) -> Written:
    rows = [tuple(_legal(text) for text in row) for row in rows]
    right = {_read(row) for place, row in enumerate(rows) if not labels or labels[place]}
    frame, file = pandas.DataFrame(_table(rows, labels), columns=list(header)), io.BytesIO()
    frame.to_excel(file, index=rng.random() < 0.3)
    return Written("pandas.to_excel", "set.xlsx", file.getvalue(), right, header, (FORMULA,))


def _legal(text: str) -> str:
    """Without the control characters that no XML holds; a workbook's line breaks are line feeds."""
    return text.replace("\x0c", " ").replace("\r\n", "\n")


def _parquet(rng, rows, labels, right, header) -> Written:
    frame, file = pandas.DataFrame(_table(rows, labels, rng.choice([int, bool])), columns=list(header)), io.BytesIO()
    frame.to_parquet(file, compression=rng.choice([None, "snappy", "gzip", "zstd"]), index=rng.random() < 0.3)
    return Written("pandas.to_parquet", "set.parquet", file.getvalue(), right, header, ())


# ---- the four entrances ----------------------------------------------------------------------------------------------


def _page(data: bytes, name: str, header: tuple[str, ...]) -> Pairs:
    """As a person reads on the page, who chooses the columns where the names are not known."""
    limits = PairingLimits()
    table = parse_table(data, name, limits)
    if header:
        table = replace(table, named=True)
        columns = replace(
            guess_columns(table), question=table.names.index(header[0]), answer=table.names.index(header[1])
        )
    else:
        columns = guess_columns(table)
    found = pair_up(table, columns, limits)
    return {(found.questions[question], found.answers[answer]) for question, answer in found.matches}


def _labelled(limits: LabelledLimits) -> Entrance:
    def read(data: bytes, name: str, header: tuple[str, ...]) -> Pairs:
        found = make_labelled_set(parse_table(data, name, limits), limits, ColumnChoice(*header))
        right = [pair for pair, label in zip(found.pairs, found.labels, strict=True) if label == 1]
        return {(found.questions[question], found.answers[answer]) for question, answer in right}

    return read


def _train(data: bytes, name: str, header: tuple[str, ...]) -> Pairs:
    limits = PairLimits()
    pairs = make_training_set(parse_table(data, name, limits), name, limits, choice=ColumnChoice(*header)).pairs
    return {(pair.question, pair.answer) for pair in pairs}


def _on_one_line(pairs: Pairs) -> Pairs:
    return {(" ".join(question.split()), " ".join(answer.split())) for question, answer in pairs}


ENTRANCES: dict[str, Entrance] = {
    "page": _page,
    "sweep": _labelled(LabelledLimits()),
    "benchmark": _labelled(LabelledLimits(bytes=64 * 2**20, rows=200_000, cells=2_000_000)),
    "train": _train,
}


def check(seed: int) -> list[str]:
    """How each entrance took the file of a seed: "read" or "refused". Raises AssertionError for anything else."""
    written = write(seed)
    unknown = written.header[:2] in UNKNOWN
    took = []
    for entrance, read in ENTRANCES.items():
        where = f"seed {seed}, {written.how}, {written.name}, {entrance}"
        wanted = _on_one_line(written.right) if entrance == "train" else written.right
        found, refusal = _try(read, written, written.header[:2] if unknown else ())
        took.append("refused" if refusal else "read")
        if refusal:
            assert any(re.search(reason, refusal) for reason in written.refusals), f"{where}: {refusal}"
        else:
            assert found == wanted, f"{where}: read {found - wanted} for {wanted - found}"
        if unknown and not refusal and entrance != "page":
            found, refusal = _try(read, written, ())
            # Where the rows below look like names too, nothing tells a row of names from a pair; a notice says so.
            like = found == wanted | {written.header[:2]}
            assert like or re.search("No name of a column is known|names no", refusal), f"{where}: {refusal or found}"
    return took


def _try(read: Entrance, written: Written, header: tuple[str, ...]) -> tuple[Pairs, str]:
    """(what an entrance reads, "") or (nothing, its refusal)."""
    try:
        return read(written.data, written.name, header), ""
    except DemoError as error:
        return set(), str(error)
