"""The page's file: kept for all its tabs and for no other page, within bounds; what was recognised; how tabs follow."""

from __future__ import annotations

from pathlib import Path

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.errors import BadInput  # noqa: E402
from demo.files.columns import UNKNOWN, Columns  # noqa: E402
from demo.files.table import parse_table  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.panel import Panel  # noqa: E402
from demo.ui.page_file.bar import BUNDLED, TEXTS, create_bar, create_source  # noqa: E402
from demo.ui.page_file.chosen import choose_texts, render_chosen  # noqa: E402
from demo.ui.page_file.handlers import PageFileHandlers  # noqa: E402
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile, PageFiles  # noqa: E402
from demo.ui.page_file.text import render_recognised  # noqa: E402
from demo.ui.tabs.pairs_tab import labelled_part  # noqa: E402
from tests.page_requests import by_name, page_request  # noqa: E402

NASTY = "<img src=x onerror=alert(1)>"
PAIRS = "question,answer\nwhat is 1?,one\nwhat is 2?,two\n"


def read(content: str | bytes, name: str = "set.csv") -> PageFile:
    return PageFile.of(parse_table(content if isinstance(content, bytes) else content.encode(), name, LIMITS))


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake", max_texts=10, max_cells=40), FakeEngine())


class Visit:
    """One page's file: what its bar says, and what its tabs are to take."""

    def __init__(self, lab: Lab):
        with gr.Blocks():
            self.bar, self.tabs = create_bar(), Panel("tabs")
            create_source(self.tabs)
            learning = Panel("learning")
            create_source(learning, (BUNDLED, TEXTS))
        self.tabs.put("learning", learning.source)
        self.handlers = PageFileHandlers(lab, self.bar, [self.tabs.source, learning.source])
        self.request = page_request("one", x_page_id="page of a visit")
        self.chosen = [TEXTS, BUNDLED]

    def send(self, event: str, *first, page: str = "") -> dict:
        request = page_request("two", x_page_id=page) if page else self.request
        answer = by_name(getattr(self.handlers, f"on_{event}")(request, *first, *self.chosen), self.bar, self.tabs)
        self.chosen = [
            answer.get(name, {}).get("value", was)
            for name, was in zip(("source", "learning"), self.chosen, strict=True)
        ]
        return answer

    def drop(self, folder: Path, content: str | bytes, name: str = "set.csv") -> dict:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        answer = self.send("upload", str(path))
        assert not path.exists(), "people's texts do not stay on the disk"
        return answer


@pytest.fixture
def visit(lab):
    return Visit(lab)


def test_a_dropped_file_is_offered_and_taken_everywhere_until_it_is_closed(visit, tmp_path):
    answer = visit.drop(tmp_path, PAIRS, f"{NASTY.replace('/', '')}.csv")
    assert answer["upload"] is None
    assert answer["bar"]["visible"]
    assert "<img" not in answer["said"] + answer["preview"]
    assert answer["source"]["choices"][0] == ("in the boxes", TEXTS)
    assert answer["source"]["choices"][1][0].endswith(".csv · 2 rows")
    assert [value for _, value in answer["learning"]["choices"]] == [BUNDLED, TEXTS, "file"]
    assert visit.chosen == ["file", "file"]
    visit.chosen = ["file", TEXTS]
    closed = visit.send("close")
    assert not closed["bar"]["visible"]
    assert closed["said"] == closed["preview"] == closed["remembered"] == ""
    assert visit.chosen == [TEXTS, TEXTS], "what was chosen beside the file stays"
    assert len(closed["source"]["choices"]) == 1


def test_a_reload_finds_the_file_and_another_page_does_not(visit, tmp_path):
    visit.drop(tmp_path, PAIRS)
    visit.chosen = [TEXTS, BUNDLED]  # as a new page has them
    assert visit.send("load", "set.csv")["bar"]["visible"]
    assert visit.chosen == ["file", "file"]
    other = visit.send("load", "", page="another page")
    assert not other["bar"]["visible"]
    assert other["note"] == ""
    assert visit.chosen == [TEXTS, BUNDLED]
    lost = visit.send("load", f"{NASTY}.csv", page="another page")
    assert "is no longer on this server: drop it once more" in lost["note"]
    assert "<img" not in lost["note"]


def test_an_unusable_file_says_why_and_the_last_one_stays(visit, tmp_path):
    assert "single column" in visit.drop(tmp_path, "one\ntwo")["note"]
    visit.drop(tmp_path, PAIRS)
    answer = visit.drop(tmp_path, "[" * 9999, "deep.json")
    assert "nested too deeply" in answer["note"]
    assert "The file before it stays." in answer["note"]
    assert "“question”" in answer["said"]
    assert "At most 4 MiB" in visit.drop(tmp_path, "x" * (4 * 2**20 + 1))["note"]
    assert visit.send("upload", None) == {"upload": None}


def test_an_unexpected_error_logs_no_text(visit, tmp_path, monkeypatch, caplog):
    def explode(*_):
        raise RuntimeError(secret)

    secret = "secret " + "text"
    monkeypatch.setattr("demo.ui.page_file.handlers.load_pairing_table", explode)
    assert "went wrong on our side" in visit.drop(tmp_path, secret)["note"]
    assert "RuntimeError in an upload" in caplog.text
    assert secret not in caplog.text


def test_columns_are_chosen_for_all_tabs(visit, lab, tmp_path):
    answer = visit.drop(tmp_path, "frage,antwort,thema\nq1,a1,t1\nq2,a2,t2\n")
    assert "guess" in answer["said"]
    assert answer["question"]["choices"] == [("frage", 0), ("antwort", 1), ("thema", 2)]
    answer = visit.send("columns", 0, 2, UNKNOWN, True)
    assert "guess" not in answer["said"]
    file = PAGE_FILES.get("page of a visit")
    assert file.columns == Columns(0, 2, UNKNOWN)
    assert choose_texts(lab, "page of a visit", "file", {}).texts == {
        "questions": ("q1", "q2"),
        "answers": ("t1", "t2"),
        "matches": [],
    }
    with pytest.raises(BadInput, match="Nothing says which answers belong"):
        labelled_part(lab, file)
    unnamed = visit.send("columns", 0, 2, UNKNOWN, False)
    assert "“column 1”" in unnamed["said"]
    before = PAGE_FILES.get("page of a visit")
    for nonsense in (None, "x", 9, -1, [0], 1.5):
        visit.send("columns", nonsense, 1, nonsense, False)
        assert PAGE_FILES.get("page of a visit") is before
    visit.send("columns", 1, 1, 9, False)
    with pytest.raises(BadInput, match="same column"):
        choose_texts(lab, "page of a visit", "file", {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question,answer,label\na?,b,1\nc?,d,0\ne?,f,0\n", "Labels: “label”, right 1, wrong 2."),
        ("sentence1,sentence2,score\na,b,1\nc,d,4.5\n", "Labels: “score”, from 1 to 4.5."),
        ("query,positive,negative\na?,b,c\nd?,e,f\n", "Hard negatives: negative. Each row is a right pair."),
        ("질문,답\n하늘은?,파랗다 blue\n바다는?,넓다\n", "Letters: Korean 73 %, Latin 27 %."),
        (
            "a?,b.\n\nc?,d.\n",
            "The first row names no columns, so it is read as texts. Blank rows that are left out: 1.",
        ),
    ],
)
def test_what_was_recognised_is_said(content, said):
    text = render_recognised("en", read(content))
    for sentence in said.removesuffix(".").split(". "):
        assert sentence in text
    assert render_recognised("ko", read(content)) != text


def test_a_tab_with_a_lower_limit_takes_a_part_and_says_which(lab):
    boxes = {"questions": "a", "answers": "b", "matches": ""}
    assert choose_texts(lab, "nobody", TEXTS, boxes).boxes == boxes
    assert render_chosen("en", lab, "nobody", TEXTS) == ""
    with pytest.raises(BadInput, match="No file is open"):
        choose_texts(lab, "nobody", "file", boxes)
    rows = "".join(f"q{i},a{i}\n" for i in range(2000))
    PAGE_FILES.put("large", read("question,answer\n" + rows))
    first = choose_texts(lab, "large", "file", boxes)
    assert first.texts["questions"] == tuple(f"q{i}" for i in range(6)), "6 × 6 = 36 of 40 cells"
    assert first.texts["matches"] == [[i, i] for i in range(1, 7)]
    assert first.boxes == {}
    assert "Of 2,000 questions 6 are taken, the first ones." in render_chosen("en", lab, "large", "file")
    PAGE_FILES.put("large", read("question,answer\n" + "".join(f"same,a{i}\n" for i in range(11))))
    with pytest.raises(BadInput, match="more answers than fit"):
        choose_texts(lab, "large", "file", boxes)
    PAGE_FILES.close("large")


def test_files_are_bounded_by_count_bytes_and_age():
    now = [0.0]
    one = read(PAIRS)
    files = PageFiles(max_bytes=3 * one.nbytes, seconds=10, clock=lambda: now[0])
    for page in "abc":
        files.put(page, one)
    assert files.get("a") is one
    files.put("d", one)
    assert [page for page in "abcd" if files.get(page)] == ["a", "c", "d"], "b was used longest ago"
    now[0] = 9
    assert files.get("a") is one
    now[0] = 12
    assert [page for page in "acd" if files.get(page)] == ["a"], "looking at it begins its time anew"
    with pytest.raises(BadInput, match="unpacks to too much"):
        PageFiles(max_bytes=1).put("a", one)


def test_many_small_cells_count_with_what_python_needs_for_them():
    table = parse_table(("a,b\n" + "x,y\n" * 50_000).encode(), "set.csv", LIMITS)
    wide = PageFile.of(table)
    assert wide.nbytes >= 2 * 50_000 * 40
