"""Texts: what people type becomes texts and pairs, or an error that names the box and the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.domain.errors import (
    BadCharacter,
    BadInput,
    BadMatches,
    BlankText,
    DemoError,
    NoTexts,
    TextTooLong,
    TooManyCells,
    TooManyTexts,
    UnreadableFile,
)
from demo.stages.texts import Limits, load_texts, normalized_notice, parse_matches, parse_pairing, parse_texts

LIMITS = Limits(texts=5, characters=20, cells=12)
WIDE = Limits(texts=1000, characters=1000, cells=10**6)


def test_box_holds_one_text_a_line_and_blank_lines_are_dropped():
    assert parse_texts("  one \n\n\t\n two\r\nthree\rfour\r\n", "questions", LIMITS) == ("one", "two", "three", "four")


@pytest.mark.parametrize("text", ["a\u2028b", "c\u2029d", "<b>&amp;</b>", "👩‍👩‍👧", "한국어", "a\tb"])
def test_only_line_breaks_separate_texts(text):
    """str.splitlines would break at the first two as well."""
    assert parse_texts(f"{text}\nnext", "questions", LIMITS) == (text, "next")


def test_an_item_of_a_list_is_one_text_even_with_a_line_break():
    assert parse_texts(["a\nb", " c "], "answers", LIMITS) == ("a\nb", "c")


@pytest.mark.parametrize("blank", ["", " \t\n", "\x0c", "\x7f", "\u2028"])
def test_a_blank_item_is_refused_by_its_place(blank):
    """Dropped, it would shift all texts behind it: answers would belong to other questions."""
    with pytest.raises(BlankText, match="Text 2 of the answers") as caught:
        parse_texts(["a", blank, "b"], "answers", LIMITS)
    assert caught.value.field == "answers"
    assert parse_texts(["a", blank, "b"], "answers", LIMITS, drop_blank=True) == ("a", "b")


def test_white_space_that_is_a_control_character_is_normalised_and_named():
    given = ["a\r\nb\rc", "a\x0cb\x0bc\x85d", "a\x7fb\x1fc", "a\tb\nc"]
    assert parse_texts(given, "texts", LIMITS) == ("a\nb\nc", "a b c d", "ab c", "a\tb\nc")
    [notice] = normalized_notice(given, "texts")
    assert notice.endswith("texts 1, 2, 3.")
    assert parse_texts("a\x0cb\r\nc", "questions", LIMITS) == ("a b", "c")
    assert normalized_notice("a\r\nb", "questions") == ()


@pytest.mark.parametrize("blank", ["", "   ", "\n\r\n \t\n", [], ()])
def test_no_texts_names_the_box(blank):
    with pytest.raises(NoTexts) as caught:
        parse_texts(blank, "answers", LIMITS)
    assert caught.value.field == "answers"
    assert "answers" in str(caught.value)


def test_exactly_the_limit_is_accepted_and_one_more_is_not():
    assert len(parse_texts("\n".join("abcde"), "questions", LIMITS)) == 5
    with pytest.raises(TooManyTexts) as caught:
        parse_texts("a\n\nb\nc\nd\ne\nf\n\n", "questions", LIMITS)
    assert caught.value.values["count"] == 6, "blank lines do not count"
    assert caught.value.values["limit"] == 5


def test_error_names_the_line_that_is_too_long():
    assert parse_texts("x" * 20, "questions", LIMITS) == ("x" * 20,)
    with pytest.raises(TextTooLong) as caught:
        parse_texts(f"short\n\n{'x' * 21}", "questions", LIMITS)
    assert (caught.value.values["line"], caught.value.values["count"]) == (3, 21)
    with pytest.raises(TextTooLong, match="100,000"):
        parse_texts("x" * 100_000, "questions", Limits())


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\x00", "U+0000"), ("\x1b", "U+001B"), ("\x9b", "U+009B"), ("\ud83d", "U+D83D")],
)
def test_control_characters_and_half_surrogates_are_refused_by_name(character, shown):
    with pytest.raises(BadCharacter) as caught:
        parse_texts(f"fine\na{character}b", "answers", LIMITS)
    assert shown in str(caught.value)
    assert caught.value.values["line"] == 2
    str(caught.value).encode("utf-8")  # the message itself can be printed


@pytest.mark.parametrize("items", [["a", 3], [None], [b"a"], [["a"]], {1: "a"}, None, 7, 2.5])
def test_values_other_than_texts_are_refused(items):
    with pytest.raises(BadInput, match="not a text|not texts") as caught:
        parse_texts(items, "questions", LIMITS)
    assert caught.value.field == "questions"


LINES = st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30), max_size=30)


@given(LINES)
def test_joined_lines_come_back_stripped_and_without_blank_ones(lines):
    expected = [line.strip() for line in lines if line.strip()]
    if expected:
        assert list(parse_texts("\n".join(lines), "questions", WIDE)) == expected
        assert list(parse_texts("\r\n".join(lines), "questions", WIDE)) == expected
    else:
        with pytest.raises(NoTexts):
            parse_texts("\n".join(lines), "questions", WIDE)


@given(st.text(st.characters(), max_size=200))
def test_arbitrary_text_gives_texts_or_a_demo_error(text):
    try:
        texts = parse_texts(text, "questions", LIMITS)
    except DemoError:
        return
    assert 1 <= len(texts) <= LIMITS.texts
    assert all(text == text.strip() and 1 <= len(text) <= LIMITS.characters for text in texts)
    "".join(texts).encode("utf-8")


@pytest.mark.parametrize(("rows", "columns", "count"), [(2, 2, 2), (3, 2, 2), (1, 4, 1)])
@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_matches_default_to_the_diagonal(rows, columns, count, nothing):
    assert parse_matches(nothing, rows, columns) == {(i, i) for i in range(count)}


@pytest.mark.parametrize(
    "value",
    [
        "1-2, 2-1",
        "Q1-A2;q2 - a1",
        "1:2\n2:1",
        "1=2,2→1,",
        [[1, 2], [2, 1]],
        [(1, 2), (2.0, "1")],
        ((1, 2), (2, 1)),
    ],
)
def test_matches_in_every_form(value):
    assert parse_matches(value, 2, 2) == {(0, 1), (1, 0)}


def test_one_question_may_have_several_answers():
    assert parse_matches("1-1, 1-2, 1-1", 1, 2) == {(0, 0), (0, 1)}


@pytest.mark.parametrize(
    "value",
    ["1", "1-", "a-b", "0-1", "3-1", "1-3", "1-2-1", "-1-2", "1-1,,x", ",", "1.5-1", "9" * 5000 + "-1"]
    + [[[0, 1]], [[1, 3]], [[1]], [1, 2], [["x", 1]], [[1.5, 1]], [[float("inf"), 1]], [[float("nan"), 1]], 5, [None]],
)
def test_matches_that_cannot_be_read_are_refused(value):
    with pytest.raises(BadMatches) as caught:
        parse_matches(value, 2, 2)
    assert caught.value.field == "matches"
    assert len(str(caught.value)) < 400, "a long input is not repeated whole"


@given(st.data())
def test_matches_written_down_are_read_back(data):
    rows, columns = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    cell = st.tuples(st.integers(1, rows), st.integers(1, columns))
    pairs = data.draw(st.sets(cell, min_size=1, max_size=20))
    expected = {(q - 1, a - 1) for q, a in pairs}
    assert parse_matches(", ".join(f"{q}-{a}" for q, a in pairs), rows, columns) == expected
    assert parse_matches([list(pair) for pair in pairs], rows, columns) == expected


@given(st.one_of(st.text(st.characters(), max_size=60), st.text("0123456789-,:→qQaA \n", max_size=60)))
def test_arbitrary_matches_give_cells_within_the_matrix_or_a_demo_error(text):
    try:
        matches = parse_matches(text, 3, 2)
    except DemoError:
        return
    assert all(0 <= row < 3 and 0 <= column < 2 for row, column in matches)


def test_a_pairing_has_a_mask_of_its_matches():
    pairing = parse_pairing("a\nb", ["x", "y", "z"], "1-3")
    assert pairing.mask().tolist() == [[False, False, True], [False, False, False]]


def test_too_many_cells_are_refused_though_each_side_is_within_its_limit():
    assert len(parse_pairing("a\nb\nc", "a\nb\nc\nd", limits=LIMITS).questions) == 3
    with pytest.raises(TooManyCells) as caught:
        parse_pairing("a\nb\nc", "a\nb\nc\nd\ne", limits=LIMITS)
    assert (caught.value.values["count"], caught.value.field) == (15, "answers")


def test_a_file_with_a_byte_order_mark_and_windows_lines(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_bytes("\ufeffone\r\n\r\n둘\r\n".encode())
    assert parse_texts(load_texts(file), "texts", LIMITS, drop_blank=True) == ("one", "둘")


def test_unreadable_file_error_says_why(tmp_path):
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    for path, reason in ((tmp_path / "none.txt", "No such file"), (latin, "UTF-8"), (tmp_path, "directory")):
        with pytest.raises(UnreadableFile, match=reason):
            load_texts(path)
    with pytest.raises(UnreadableFile):
        load_texts("a\x00b")
