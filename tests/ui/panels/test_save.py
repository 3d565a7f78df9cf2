"""What is saved of a comparison: the same numbers in every file, and pages in which nobody's text is ever markup."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.export.report import describe_figure, prepare_report, render_figure, render_report  # noqa: E402
from demo.export.vectors import write_npz, write_safetensors, write_similarity  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.downloads import Downloads  # noqa: E402
from demo.ui.kit.i18n import LOCALES  # noqa: E402
from demo.ui.panels.save.handlers import NAMES, SaveHandlers  # noqa: E402
from demo.ui.panels.save.panel import FILES, PICTURES, create_save  # noqa: E402
from demo.wording.comparison import describe_reading  # noqa: E402
from tests.page_requests import page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

NASTY = "<img src=x onerror=window.hacked=1>"
QUESTIONS = [NASTY, "</script><script>window.hacked=1</script>", "=1+1", "대한민국의 수도는 어디인가요?\u2028"]
ANSWERS = ["<!--<script>", "A graphics processing unit & more.", '"><b>x</b>']
READING = {"prompt": "plain", "pooling": "mean", "layer": 30, "postprocess": "center"}
WHEN = datetime(2026, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def lab():
    return Lab(Settings(engine="fake"), FakeEngine())


@pytest.fixture(scope="module")
def shown(lab):
    """What the page shows."""
    return lab.compare(QUESTIONS, ANSWERS, matches="1-2, 1-3, 2-1", **READING)


@pytest.fixture(scope="module")
def found(lab, shown):
    """What is saved."""
    return lab.compare_large(shown.pairing, **READING)


@pytest.fixture(scope="module")
def report(lab, found):
    return render_report("en", prepare_report("en", found, lab.open(), "fit", lab.code, WHEN))


def told(page: str) -> dict:
    """The data of a saved page's figure."""
    return json.loads(re.search(r'<script type="application/json" id="told">(.*?)</script>', page, re.DOTALL)[1])


class Reader(HTMLParser):
    """A page as a browser reads it: its tags, the text between them, and its scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text, self.scripts, self.policy, self.attributes = [], "", [], "", []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.tags.append(tag)
        self.attributes += [f"{name}={value}" for name, value in attrs]
        self._inside = tag
        if tag == "script" and said.get("type") != "application/json":
            self.scripts.append("")
            self._inside = "own script"
        if said.get("http-equiv") == "Content-Security-Policy":
            self.policy = said["content"]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "own script":
            self.scripts[-1] += data
        elif self._inside not in ("script", "style"):
            self.text += data


# ---- the same numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["fit", "unit", "relative"])
def test_every_file_holds_the_cosines_that_are_shown(lab, shown, found, scale, tmp_path):
    write_similarity(found, tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    table = np.array([[float(cell) for cell in row[1:4]] for row in rows])
    page = told(render_figure("ko", prepare_report("ko", found, lab.open(), scale, lab.code, WHEN)))["values"]
    write_npz(found, tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz", allow_pickle=False) as arrays:
        sides = [
            arrays[name] / np.linalg.norm(arrays[name], axis=1, keepdims=True) for name in ("questions", "answers")
        ]
    for cosines in (table, page, sides[0] @ sides[1].T):
        np.testing.assert_allclose(cosines, shown.similarity, atol=1e-6)


def test_safetensors_hold_what_npz_holds(found, tmp_path):
    write_npz(found, tmp_path / "e.npz")
    write_safetensors(found, tmp_path / "e.safetensors")
    with np.load(tmp_path / "e.npz") as arrays, safe_open(tmp_path / "e.safetensors", "np") as tensors:
        for name in ("questions", "answers"):
            np.testing.assert_array_equal(tensors.get_tensor(name), arrays[name])
        said = json.loads(tensors.metadata()["metadata"])
        assert said == json.loads(str(arrays["metadata"]))
    assert said["questions"] == [text.strip() for text in QUESTIONS]
    assert said["matches"] == [[0, 1], [0, 2], [1, 0]]
    assert said["reading"]["postprocess"] == "center"
    assert {"model", "revision", "precision", "device", "versions", "source"} <= set(said)


def test_the_csv_says_what_belongs_together_and_what_made_it(found, tmp_path):
    write_similarity(found, tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert [row[4] for row in rows] == ["2, 3", "1", "", ""]
    said = dict(zip(head[5:], rows[0][5:], strict=True))
    assert said["reading"] == found.reading.label()
    assert json.loads(said["settings"]) == found.reading.to_dict()
    assert said["revision"] == found.provenance["revision"]
    assert rows[2][0] == "'=1+1"
    assert all(not any(row[5:]) for row in rows[1:]), "said once"


# ---- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [render_report, render_figure])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_text_is_markup_and_nothing_runs_but_the_pages_own_scripts(lab, found, render, language):
    page = render(language, prepare_report(language, found, lab.open(), "fit", lab.code, WHEN))
    read = Reader(page)
    assert f'<html lang="{language}">' in page
    assert read.tags.count("script") == 3, "Plotly, ours, and the data"
    assert read.tags.count("img") == 1, "the still picture"
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(read.tags)
    assert not any(re.match(r"on\w+=|(src|href)=", attribute) for attribute in read.attributes)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in read.scripts]
    assert re.search(r"script-src ([^;]*);", read.policy)[1] == " ".join(f"'sha256-{each}'" for each in digests)
    assert read.policy.startswith("default-src 'none'; ")
    for text in (*QUESTIONS, *ANSWERS):
        assert text.strip() in read.text
    assert told(page)["questions"] == [text.strip() for text in QUESTIONS]


def test_the_report_says_everything(lab, shown, found, report):
    text = Reader(report).text
    words = LOCALES["en"]
    for part in ("heatmap", "metrics", "texts", "cosines", "reading", "origin", "script", "notices"):
        assert f"<h2>{words[f'report.{part}']}</h2>" in report
    assert "Made on 2026-01-02 03:04" in text
    assert found.reading.label() in text
    for value in (*found.provenance.values(), "center", "plain", "30", words["pooling.mean.hint"]):
        assert value in text
    assert words["metric.auc.hint"] in text
    assert words["scale.fit.hint"] in text
    assert "↔ A2, A3" in text
    assert f"<b>{shown.similarity[0, 1]:.2f}</b>".replace("0.", ".").replace("-", "−") in report, "a right pair is bold"
    script = lab.code(texts=(shown.questions, shown.answers), **READING)
    assert script in text
    compile(script, "again.py", "exec")
    assert "=1+1" in script


def test_what_no_script_can_do_is_told(lab, shown):
    found = lab.compare_large(shown.pairing, prompt="echo", pooling="mean")

    def refuse(**reading):
        return lab.code(library="sentence-transformers", **reading)

    reported = prepare_report("en", found, lab.open(), "fit", refuse)
    assert reported.script == ""
    assert reported.no_script in Reader(render_report("en", reported)).text
    assert len(reported.no_script) > 20


def test_a_large_report_has_no_table_of_cosines(lab):
    texts = [f"text {i}" for i in range(60)]
    found = lab.compare_large(lab.compare(texts, texts).pairing)
    page = render_report("en", prepare_report("en", found, lab.open(), "fit", lab.code, WHEN))
    assert LOCALES["en"]["report.cosines.too_many"] in page
    assert 'class="cosines"' not in page
    assert np.array(told(page)["values"]).shape == (60, 60)


def test_a_figure_is_named_by_what_made_it(found):
    said = describe_figure("en", found, "relative")
    assert said["subtitle"].startswith("SmolLM2-135M-Instruct · plain · mean · last layer · center · float32")
    assert said["words"]["bar"] == "within the row"


def test_of_a_model_elsewhere_no_layer_is_told(lab, found):
    named = [each.name for each in describe_reading("en", found.reading, lab.open())]
    assert named == ["model", "prompt", "pooling", "layer", "postprocess", "reference"]
    elsewhere = replace(lab.open(), host="127.0.0.1:8000")
    assert "layer" not in [each.name for each in describe_reading("en", found.reading, elsewhere)]


# ---- the fold -------------------------------------------------------------------------------------------------------


@pytest.fixture
def handlers(lab):
    with gr.Blocks():
        return SaveHandlers(lab, create_save())


def answered(**chosen) -> str:
    """The form of the heatmap, as live.js sends it."""
    texts = {"questions": "\n".join(QUESTIONS), "answers": "\n".join(ANSWERS)}
    return json.dumps({**texts, "pooling": "mean", **chosen})


def test_each_kind_is_a_file_of_what_is_shown(handlers):
    assert set(FILES) == set(NAMES)
    for kind in FILES:
        answer = handlers.on_save(kind, page_request(language="ko"), answered())
        path = Path(answer[handlers.widgets.file])
        assert path.name == NAMES[kind]
        assert path.stat().st_size > 500
        assert answer[handlers.widgets.note]["message"] == ""
    assert {f"save_{kind}" for kind in (*FILES, *PICTURES)} < set(handlers.widgets.labelled)


def test_what_cannot_be_saved_is_told_and_nothing_is_fetched(handlers, monkeypatch, caplog):
    nothing = handlers.on_save("csv", page_request(), "null")
    refused = handlers.on_save("csv", page_request(), answered(questions=""))
    monkeypatch.setattr(handlers.lab, "compare_large", lambda *args, **chosen: 1 / 0)
    broken = handlers.on_save("csv", page_request(), answered())
    monkeypatch.undo()
    for answer, words in ((nothing, "no heatmap to save"), (refused, "no questions"), (broken, "wrong on our side")):
        assert words in answer[handlers.widgets.note]["message"]
        assert answer[handlers.widgets.file] is None
    assert NASTY not in caplog.text


def test_a_file_does_not_stay(tmp_path):
    with gr.Blocks():
        downloads = Downloads(gr.DownloadButton(), seconds=0.2)
    path = Path(downloads.create("a.txt", lambda path: path.write_text("x")))
    assert path.read_text() == "x"
    eventually(lambda: not path.exists())


def test_files_make_room_for_new_ones():
    with gr.Blocks():
        downloads = Downloads(gr.DownloadButton(), max_bytes=100)
    first, second = (Path(downloads.create("a.txt", lambda path, n=n: path.write_text(str(n) * 60))) for n in (1, 2))
    assert second.exists()
    assert not first.exists()
    assert Path(downloads.create("b.txt", lambda path: path.write_text("y" * 200))).exists(), "the newest always stays"
