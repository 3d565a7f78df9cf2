"""Table reader: any usual file reads the same at every entrance, or is refused with a sentence on what is accepted."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.domain.errors import BadCharacter, BadInput, DemoError, TextTooLong, UnreadableFile
from demo.files.columns import guess_columns
from demo.files.examples import Example, check_texts, read_examples
from demo.files.formats.delimited import find_separator
from demo.files.labelled import LabelledLimits, load_labelled, make_labelled_set
from demo.files.limits import FileLimits
from demo.files.pairing import PairingLimits, load_pairing_table, pair_up
from demo.files.pairs import PairLimits, load_pairs, make_training_set
from demo.files.roles import name_roles
from demo.files.safe_csv import write_rows
from demo.files.table import Table, fit_to_show, parse_table

LIMITS = FileLimits()
SMALL = FileLimits(bytes=200, rows=4, characters=10, columns=3)
Pairs = set[tuple[str, str]]


def read(content: str | bytes, name: str = "set.csv", limits: FileLimits = LIMITS) -> Table:
    return parse_table(content if isinstance(content, bytes) else content.encode(), name, limits)


def check(content: str | bytes, name: str = "set.csv", limits: FileLimits = LIMITS) -> list[Example]:
    table = read(content, name, limits)
    examples = read_examples(table, guess_columns(table))
    check_texts(examples, limits)
    return examples


def pairing_of(data: bytes, name: str) -> Pairs:
    limits = PairingLimits()
    table = parse_table(data, name, limits)
    found = pair_up(table, guess_columns(table), limits)
    return {(found.questions[question], found.answers[answer]) for question, answer in found.matches}


def labelled_of(data: bytes, name: str) -> Pairs:
    limits = LabelledLimits()
    found = make_labelled_set(parse_table(data, name, limits), limits)
    right = [pair for pair, label in zip(found.pairs, found.labels, strict=True) if label == 1]
    return {(found.questions[question], found.answers[answer]) for question, answer in right}


def training_of(data: bytes, name: str) -> Pairs:
    limits = PairLimits()
    return {
        (pair.question, pair.answer) for pair in make_training_set(parse_table(data, name, limits), name, limits).pairs
    }


def on_one_line(pairs: Pairs) -> Pairs:
    return {(" ".join(question.split()), " ".join(answer.split())) for question, answer in pairs}


def read_everywhere(data: bytes, name: str) -> Pairs:
    """The right pairs, which every entrance reads alike; training puts each text on one line."""
    found = pairing_of(data, name)
    assert labelled_of(data, name) == found
    assert training_of(data, name) == on_one_line(found)
    return found


PAIRS = {("q1", "a1"), ("q2", "a2")}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.csv", "question,answer\nq1,a1\nq2,a2\n"),
        ("set.csv", "q1;a1\nq2;a2"),
        ("set.csv", "sep=;\nquestion;answer\nq1;a1\nq2;a2"),
        ("set.csv", "sep=|\nquestion|answer\nq1|a1\nq2|a2"),
        ("set.csv", '"sep=\t"\n질문\t답\nq1\ta1\nq2\ta2'),
        ("set.tsv", "Query\tPassage\r\nq1\ta1\r\nq2\ta2\r\n"),
        ("set.txt", "\n\nq1\ta1\n \t \nq2\ta2\n\n"),
        ("SET.CSV", '\ufeff질문,답변\n"q1","a1"\nq2,a2'),
        ("set.csv", "text-1, Sentence 2 ,,\r\rq1, a1 ,,\n,,\nq2,a2"),
        ("set.csv", "premise,entailment,contradiction\nq1,a1,x\nq2,a2,"),
        ("set.csv", "id,label,answer,question\n1,1,a1,q1\n2,true,a2,q2"),
        ("set.csv", "question,answer,정답 여부,라벨\nq1,a1,o,1\nq2,a2,o,1\nq2,a1,x,0"),
        ("set.csv", "a;q;score\na1;q1;1,0\na2;q2;1\na1;q2;0,0"),
        ("set.tsv", "q1\ta1\t1\nq1\ta2\t0\nq2\ta2\tyes\nq2\ta1\tNo"),
        ("set.json", '[{"question": "q1", "answer": "a1"}, {"answer": "a2", "question": "q2"}]'),
        ("set.json", '{"questions": ["q1", "q2"], "answers": ["a1", "a2"]}'),
        ("set.jsonl", '{"q": "q1", "a": "a1", "tags": ["x"]}\n\n{"q": "q2", "a": "a2"}\n'),
        ("set.ndjson", '{"질문": "q1", "답변": "a1", "label": true}\n{"질문": "q2", "답변": "a2", "label": 1}\n'),
        ("set.json", '{"q": "q1", "a": "a1"}\n{"q": "q2", "a": "a2"}'),
    ],
)
def test_every_entrance_reads_the_same_pairs_in_every_form(name, content):
    assert read_everywhere(content.encode(), name) == PAIRS


# ---- dialects --------------------------------------------------------------------------------------------------------


def test_a_quoted_tsv_loses_its_quotes_and_a_raw_one_keeps_them():
    assert read('q\ta\n"two\nlines"\t"a ""b"""').rows == (("two\nlines", 'a "b"'),)
    assert read('q\ta\n"a\ttab"\tb').rows == (("a\ttab", "b"),)
    assert read('"q"\t"a"\t"n"\n"x"\t"y"\t5').rows == (("x", "y", "5"),)
    raw = 'score\tsentence1\tsentence2\n5.0\tA "man".\tA man.\n0.25\t"Yes"\t"A dog\n1\tx\t"He" said\n'
    assert read(raw).rows[1:] == (("0.25", '"Yes"', '"A dog'), ("1", "x", '"He" said'))
    assert read('q\ta\nx\t"Yes"').rows == (("x", '"Yes"'),)


def test_a_tsv_that_can_be_read_in_two_ways_is_refused():
    with pytest.raises(BadInput, match="Row 4 cannot be read"):
        read('sep=\t\nq\ta\n\nx\t"I came,\nand\tsaw"\n')


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        ("question;answer\na, b, c;d, e, f", ";"),
        ("x, y, z;w\ne;f", ";"),
        ("question,answer\na;b,c;d", ","),
        ('"a\tb",c\nd,e', ","),
        ('"A dog\tx, y\tz\n5\tb\tc', "\t"),
        ('"never closed;x\n', ";"),
    ],
)
def test_the_separator_is_found(content, separator):
    assert find_separator(content) == separator


def test_rows_keep_the_files_numbers_where_blank_rows_are_left_out():
    table = read('\nq,a\n\n"x\ny",z\n , \nv,w')
    assert (table.rows, table.row_numbers) == ((("x\ny", "z"), ("v", "w")), (4, 6))
    assert read('{"q": 1, "a": 2}\n\n{"q": 3, "a": 4}', "s.jsonl").row_numbers == (1, 3)
    assert read("sep=,\nq,a\nx,y").row_numbers == (3,)


def test_texts_made_harmless_for_a_spreadsheet_are_restored():
    file = io.StringIO()
    texts = ("=1+1", "'=x", "@home", "-0.12", "“quoted”, and\nmore")
    write_rows(file, [("question", "answer"), *((text, text) for text in texts)])
    assert read_everywhere(file.getvalue().encode(), "set.csv") == {(text, text) for text in texts}


# ---- names of columns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("Query", "hard_negative", "Sentence 2"), ["question", "negative", "answer"]),
        (("질문", "정답", "오답", "점수"), ["question", "answer", "negative", "label"]),
        (("SENTENCE1", "sentence", "gold"), ["question", "answer", "label"]),
        (("question_id", "theme", ""), ["id", None, None]),
    ],
)
def test_columns_have_a_role_by_their_name(names, roles):
    assert name_roles(names) == roles


def test_the_first_row_is_recognised_as_names_or_texts():
    assert read("question,answer\nq1,a1").named
    assert not read("q1,a1\nq2,a2").named
    assert not read("1,where,5\n2,what,6").named
    assert read("frage,antwort,thema\nq1,a1,x").named, "three columns whose third one is no number"
    assert read("question,answer").named
    assert not read("answer,this").named, "a single row is all there is"
    table = read("q1,a1\nq2,a2")
    assert (table.names, table.may_be_unnamed) == (("1", "2"), True)
    assert not read('[{"q": "x", "a": "y"}]', "set.json").may_be_unnamed


def test_json_columns_of_objects_without_a_text_are_named():
    records = '[{"q": "x", "tags": ["b"], "a": 4.5, "n": null}, {"q": "y", "meta": {"c": 1}, "a": true}]'
    table = read(records, "set.json")
    assert (table.names, dict(table.unread)) == (("q", "tags", "a", "n"), {"meta": "objects with the keys “c”"})
    assert table.rows == (("x", "b", "4.5", ""), ("y", "", "true", ""))
    assert table.notices == ("The column “meta” is not read: it holds objects with the keys “c”.",)


def test_unchecked_text_is_made_fit_to_show():
    assert fit_to_show("a\ud800\0b\tc", 10) == "a\ufffd\ufffdb c"
    assert fit_to_show("x" * 20, 5) == "xxxx…"
    names = read('[{"\\ud800": "x", "' + "n" * 99 + '": "y"}]', "set.json").names
    "".join(names).encode("utf-8")
    assert max(map(len, names)) == 60


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("set.csv", "", "is empty"),
        ("set.csv", chr(34) * 2, "is empty"),
        ("set.csv", " \n\ufeff\n", "single column"),
        ("set.csv", "sep=;\n", "is empty"),
        ("set.json", '{"questions": 1}', "neither a list"),
        ("set.csv", "only\none column", "a single column"),
        ("set.json", '[{"q": "x"}]', "a single column"),
        ("set.csv", b"q,a\ncaf\xe9,x", "not UTF-8: byte 8"),
        ("set.csv", b"q,a\nx,y\xb0", "not UTF-8: byte 8"),
        ("set.csv", "北京,巴黎\n首都,城市\n".encode("gbk"), "not UTF-8: byte 1"),
        ("set.csv", codecs.BOM_UTF16_LE + b"\x00\xd8", "not UTF-16: byte 3"),
        ("set.csv", b"PK\x03\x04" + b"\0" * 50, "The file is a ZIP archive, not a table"),
        ("set.csv", gzip.compress(b"q,a", mtime=0), "is a gzip archive"),
        ("set.csv", b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        ("set.csv", "q,a\nx,y".encode("utf-16-le"), "a NUL character"),
        ("set.csv", "x" * 200_000 + ",y", "Row 1 cannot be read"),
        ("set.csv", "x," * 200_000, "200,001 columns"),
        ("set.json", '{"q": [' + "0," * 250_000 + '0], "a": []}', "more than 20,000 rows"),
        ("set.json", "{" + ",".join(f'"{i}": []' for i in range(60_000)) + ', "a": [1, 2]}', "60,001 columns"),
        ("set.jsonl", "{}\n" * 20_001, "more than 20,000 rows"),
        ("set.json", '[{"q": ' + "[" * 50_000 + "]" * 50_000 + ', "a": "y"}]', "nested too deeply"),
        ("set.json", '{"a": ' * 20_000 + "1" + "}" * 20_000, "nested too deeply|neither a list"),
        ("set.csv", 'q,a\nx,y\n"x" z,y\n', "Row 3 cannot be read"),
        ("set.csv", '\nx,"y\n', "Row 2 cannot be read"),
        ("set.csv", "q,a\n\nx,y,z", "Row 3 has 3 columns, the first row has 2"),
        ("set.json", "[" * 200_000, "nested too deeply"),
        ("set.json", "[1" + "0" * 5000 + "]", "a number that is too long"),
        ("set.json", '[{"q": "x",\n"a": }]', "line 2, column 6"),
        ("set.jsonl", '{"q": "x", "a": "y"}\n{"q": ', "line 2"),
        ("set.jsonl", '{"q": "x", "a": "y"}\n["q"]', "Line 2 is not a JSON object"),
        ("set.json", '["x", "y"]', "neither a list of objects"),
    ],
)
def test_a_file_that_is_no_table_is_refused(name, content, match):
    with pytest.raises(BadInput, match=match) as caught:
        read(content, name)
    assert "ccepted" in str(caught.value)
    assert caught.value.field == "file"
    str(caught.value).encode("utf-8")  # the message itself can be printed


def test_every_limit():
    for content, name, match in (
        ("x" * 201, "s.csv", "At most 0.00019.* MiB"),
        ("q,a,b,c\n1,2,3,4", "s.csv", "4 columns. At most 3"),
        ("q,a\n" + "x,y\n" * 5, "s.csv", "more than 4 rows"),
        ('{"q": 1, "a": 2}\n' * 5, "s.jsonl", "more than 4 rows"),
    ):
        with pytest.raises(BadInput, match=match):
            read(content, name, SMALL)
    assert len(read("q,a\n" + "x,y\n" * 4, limits=SMALL).rows) == 4
    assert len(check(f"q,a\nx,{'y' * 10}", limits=SMALL)) == 1
    with pytest.raises(TextTooLong, match="Line 3 of the answers has 11"):
        check(f"q,a\n\nx,{'y' * 11}", limits=SMALL)


@pytest.mark.parametrize("character", ["\x07", "\x1b"])
def test_a_control_character_is_named_with_its_row(character):
    with pytest.raises(BadCharacter, match=rf"Line 4 of the questions .*U\+{ord(character):04X}"):
        check(f"\nq,a\n\nx{character},y")
    with pytest.raises(BadCharacter, match="D800"):
        check('[{"q": "\\ud800", "a": "x"}]', "set.json")


Load = Callable[[object], object]
LOADERS: dict[str, Load] = {
    "upload": lambda path: load_labelled(path, LabelledLimits(bytes=200)),
    "file": lambda path: load_pairing_table(path, PairingLimits(bytes=200)),
    "pairs": lambda path: load_pairs(path, PairLimits(bytes=200)),
}


@pytest.mark.parametrize("field", LOADERS)
def test_a_file_out_of_reach_says_why_and_not_where_it_lies(tmp_path, field):
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(b"\x1f\x8bnot gzip at all")
    reasons = {tmp_path / "none.csv": "No such file", tmp_path: "directory", "a\x00b": "null byte"}
    for path, reason in (reasons | ({damaged: "it is damaged"} if field == "pairs" else {})).items():
        with pytest.raises(UnreadableFile, match=reason) as caught:
            LOADERS[field](path)
        assert caught.value.field == field
        assert str(tmp_path.parent) not in str(caught.value)


@pytest.mark.parametrize("field", LOADERS)
def test_a_file_is_read_to_the_limit_only(tmp_path, field):
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b" " * 5_000_000))
    for path in ("/dev/zero", bomb):
        with pytest.raises(BadInput, match="too large") as caught:
            LOADERS[field](path)
        assert caught.value.field == field
        if field != "pairs":
            break  # only training unpacks


# ---- round trips -----------------------------------------------------------------------------------------------------

TEXT = st.text(
    st.one_of(st.characters(exclude_categories=("Cc", "Cs")), st.sampled_from("\",;\t\n'가a1")), min_size=1, max_size=10
).filter(lambda text: text == text.strip() and not text.startswith("'"))
KOREAN = st.text(st.sampled_from('가나다라마바사아자차카 ,;\t\n".0'), min_size=1, max_size=10).filter(
    lambda text: text == text.strip() and any(letter >= "가" for letter in text)
)
HEADERS = st.sampled_from([("question", "answer"), ("질문", "답변"), ("Query", "Passage"), ()])
FIRST = [("첫째 질문?", "첫째 대답."), ("둘째 질문?", "둘째 대답.")]  # so that no answer belongs to every question


def may_be_raw(rows: Sequence[Sequence[object]], separator: str) -> bool:
    """Whether a quoted TSV may be raw text too, which is refused: a text holds a tab and a line feed."""
    return separator == "\t" and any({"\t", "\n"} <= set(str(cell)) for row in rows for cell in row)


def write_csv(rows: Sequence[Sequence[str]], header: Sequence[str], separator: str, quoting: int, end: str) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([header, *rows] if header else rows)
    return file.getvalue()


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp949"]),
    HEADERS,
    st.sampled_from(",;\t"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_csv_writers_write_is_read_at_every_entrance(data, encoding, header, separator, quoting, end, declared):
    text = KOREAN if encoding == "cp949" else TEXT
    rows = FIRST + data.draw(st.lists(st.tuples(text, text), max_size=5))
    content = f"sep={separator}{end}" * declared + write_csv(rows, header, separator, quoting, end)
    content = content.encode(encoding)
    try:
        found = read_everywhere(content, "set.csv")
    except BadInput:
        if not may_be_raw(rows, separator):
            raise
        return
    assert found == set(rows)
    letters = {"utf-16": "UTF-16", "cp949": "CP949"}.get(encoding)
    assert read(content).notices[:1] == (f"Its letters were read as {letters}: look whether they are right.",) * bool(
        letters
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), HEADERS)
def test_raw_tsv_is_read_at_every_entrance_or_refused(rows, header):
    rows = FIRST + [row for row in rows if not any(set(cell) & {"\t", "\n"} or '""' in cell for cell in row)]
    content = "\n".join("\t".join(row) for row in ([header, *rows] if header else rows))
    try:
        found = read_everywhere(content.encode(), "set.tsv")
    except BadInput:
        if sum('"' in cell for row in rows for cell in row) < 2:
            raise
        return  # two quotation marks may enclose a text over several lines, too
    assert found == set(rows)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.sampled_from([("question", "answer"), ("질문", "답변")]))
def test_json_is_read_at_every_entrance(rows, header):
    rows = FIRST + rows
    records = [dict(zip(header, row, strict=True)) for row in rows]
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    for name, content in (
        ("s.json", json.dumps(records, ensure_ascii=False)),
        ("s.json", json.dumps(columns)),
        ("s.jsonl", "\n".join(map(json.dumps, records))),
    ):
        assert read_everywhere(content.encode(), name) == set(rows)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT, st.integers(0, 1)), max_size=5),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_what_pandas_writes_is_read_as_pandas_reads_it(rows, separator, encoding, quoting):
    pandas = pytest.importorskip("pandas", reason="pandas comes with gradio")
    frame = pandas.DataFrame([*((*row, 1) for row in FIRST), *rows], columns=["query", "answer", "label"])
    data = frame.to_csv(index=False, sep=separator, quoting=quoting).encode(encoding)
    read_by_pandas = pandas.read_csv(io.BytesIO(data), sep=separator, dtype=str, encoding=encoding, na_filter=False)
    try:
        table = read(data)
    except BadInput:
        if not may_be_raw(rows, separator):
            raise
        return
    assert (table.separator, list(table.names)) == (separator, list(read_by_pandas.columns))
    assert table.rows == tuple(read_by_pandas.itertuples(index=False, name=None))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["q", "a", "label", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)
RUBBISH = st.one_of(
    st.binary(max_size=60),
    st.text('qa01,;\t"\n\r x.', max_size=80).map(str.encode),
    st.text('qa01,;\t"\n\r x.', max_size=80).map("q,a,label\n".__add__).map(str.encode),
    st.text('qa01\t"\n x.', max_size=80).map("score\tq\ta\n".__add__).map(str.encode),
    JSON.map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=400, deadline=None)
@given(RUBBISH, st.sampled_from(["s.csv", "s.tsv", "s.txt", "s.json", "s.jsonl", "s", ""]))
def test_any_bytes_are_read_or_refused_with_a_sentence(content, name):
    for entrance, field in ((pairing_of, "file"), (labelled_of, "upload"), (training_of, "pairs")):
        refusal = None
        try:
            entrance(content, name)
        except DemoError as error:
            refusal = error
        if refusal:
            assert refusal.field == field
            str(refusal).encode("utf-8")
