"""Links: everything that stands on the page comes back from its address, and rubbish opens the page as ever."""

from __future__ import annotations

import base64
import zlib
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from demo.domain.errors import DamagedLink
from demo.ui.live.link import parse_link, read_link, without_reading

ODD = ["누가 썼나요?\n왜?", "👩‍👩‍👧 & 100% = #1;+", "%26&z=", "\x00\r\n\t"]
TEXTS = some.dictionaries(
    some.sampled_from(["questions", "answers", "matches", "task", "template"]),
    some.one_of(some.text(max_size=400), some.sampled_from(ODD)),
    min_size=1,
)
READING = some.fixed_dictionaries(
    {},
    optional={
        "model": some.sampled_from(["gpt2", "a/b-c.d", "모델"]),
        "prompt": some.sampled_from(["plain", "own", "chain_of_thought"]),
        "pooling": some.sampled_from(["mean", "last_token_logits"]),
        "layer": some.integers(0, 9999),
        "eos": some.booleans(),
        "postprocess": some.sampled_from(["none", "whitening"]),
        "reference": some.sampled_from(["texts", "corpus"]),
        "scale": some.sampled_from(["fit", "unit", "relative"]),
    },
)


def said_as_text(said: dict) -> dict[str, str]:
    """As the browser says it: `True` is `true`."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}


def deflate(data: bytes) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    return base64.urlsafe_b64encode(packer.compress(data) + packer.flush()).decode().rstrip("=")


def pack(said: dict[str, str]) -> str:
    """As link.js does it; tests/browser/test_share.py compares the two."""
    bare = {name: value.replace("%", "%25").replace("&", "%26").replace("+", "%2B") for name, value in said.items()}
    return "z=" + deflate("&".join(f"{name}={value}" for name, value in bare.items()).encode())


@given(TEXTS, READING)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_the_boxes_comes_back(texts, reading):
    said = texts | reading
    assert read_link(urlencode(said_as_text(said))) == said
    assert read_link(pack(said_as_text(said))) == said
    assert read_link(pack(said_as_text(said)) + "&tab=sweep") == said
    assert without_reading(said) == {name: said[name] for name in said if name in texts or name == "scale"}


@pytest.mark.parametrize("half", ["\ud83d", "\udc00x", "a\ud800\ud800"])
def test_half_a_surrogate_pair_becomes_the_mark_for_an_unknown_letter(half):
    said = parse_link(f"questions=ok {half}&model=m{half}")
    assert "\ufffd" in said["questions"]
    said["model"].encode("utf-8")


def test_a_class_fits_and_a_library_does_not():
    sentences = "\n".join(f"{n}: 이 문장은 학생 {n * 7919 % 1000}번이 적은 서로 다른 질문이에요." for n in range(30))
    said = {"questions": sentences, "answers": sentences[::-1], "model": "gpt2"}
    assert len(pack(said)) < 8192 < len(urlencode(said))
    assert read_link(pack(said)) == said
    with pytest.raises(DamagedLink):
        read_link("questions=" + "x" * 40_000)


def test_a_bomb_is_not_unpacked():
    bomb = deflate(b"questions=" + b"x" * 20_000_000)
    assert len(bomb) < 32_768
    with pytest.raises(DamagedLink):
        read_link("z=" + bomb)


WHOLE = pack({"questions": "What is GPU?", "answers": "A chip.", "layer": "12"})


@pytest.mark.parametrize(
    "link",
    [
        WHOLE[:-3],
        WHOLE[:20],
        WHOLE.replace("z=", "z=A"),
        WHOLE + "AAAA",
        WHOLE.swapcase().replace("Z=", "z="),
        "z=",
        "z=%00",
        "z=한글",
        "z=" + "A" * 30_000,
        "z=" + deflate(b"questions=\xff\xfe"),
        "z=" + deflate(b"&".join([b"a=1"] * 99)),
        "a=1&" * 99,
        "tabs=sweep",
        "=&=",
    ],
)
def test_a_damaged_link_says_so_and_changes_nothing(link):
    with pytest.raises(DamagedLink, match="damaged"):
        read_link(link)
    assert parse_link(link) == {}


@pytest.mark.parametrize("link", ["", None, 7, ["questions=a"], {"questions": "a"}, "heatmap", "%E0%A4%A"])
def test_an_anchor_or_no_text_at_all_is_no_link(link):
    assert read_link(link) == {}


RUBBISH = some.one_of(some.text(), some.binary(max_size=300).map(deflate), some.text().map("z=".__add__))


@given(RUBBISH)
@settings(max_examples=200, deadline=None)
def test_rubbish_never_breaks_anything(link):
    assert isinstance(parse_link(link), dict)
    assert isinstance(parse_link("z=" + link), dict)
    assert isinstance(parse_link("z=" + deflate(link.encode("utf-8", "replace"))), dict)
