"""White space normalisation: what is no text becomes white space or goes; all else stays."""

import sys
import unicodedata

import pytest

from demo.domain.whitespace import normalize_whitespace


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("page\x0cpage\x0bline\x85line\x1fend", "page page line line end"),
        ("o\x7fne", "one"),
        ("tab\tnew\nline", "tab\tnew\nline"),
    ],
)
def test_white_space_is_normalised(text, normal):
    assert normalize_whitespace(text) == normal


def test_only_white_space_among_the_control_characters_and_del_are_changed():
    letters = map(chr, range(sys.maxunicode + 1))
    changed = {letter for letter in letters if normalize_whitespace(letter) != letter}
    controls = {letter for letter in map(chr, range(256)) if unicodedata.category(letter) == "Cc"}
    assert changed == {letter for letter in controls if letter.isspace() and letter not in "\t\n"} | {"\x7f"}
