"""Translation: messages in the languages of `locales/`, by key, and sentences without a key by `phrases/`.

A reason, a notice or a source that another room says in its own words has no key: `phrases/` lists these English
sentences, with {blanks} where a name or a number stands, beside their translation.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from demo.domain.errors import DemoError

DEFAULT_LANGUAGE = "en"
_FOLDER = Path(__file__).parent


def _load(folder: str) -> dict[str, dict[str, str]]:
    """`locales/en.json` and the parts in `locales/en/`, by language."""
    here = _FOLDER / folder
    files = {path.stem: [path, *sorted((here / path.stem).glob("*.json"))] for path in sorted(here.glob("*.json"))}
    return {
        language: {key: text for path in paths for key, text in json.loads(path.read_text(encoding="utf-8")).items()}
        for language, paths in files.items()
    }


LOCALES = _load("locales")
_PHRASES = _load("phrases")
_BLANK = re.compile(r"\\{(\w+)\\}")
_SENTENCES = re.compile(r"(?<=[.!?]) +")
_LONGEST_PHRASE = 2000  # characters
_PHRASE_VALUES = ("reason", "reasons", "problem", "accepted")  # values of errors without a key


def translate(language: str, key: str, **values: Any) -> str:
    """A sentence in a language; English where that language lacks it."""
    text = LOCALES.get(language, {}).get(key) or LOCALES[DEFAULT_LANGUAGE][key]
    return text.format(**values) if values else text


def translate_group(language: str, group: str) -> dict[str, str]:
    """All messages whose key begins with `group.`, by the rest of their key."""
    keys = [key for key in LOCALES[DEFAULT_LANGUAGE] if key.startswith(f"{group}.")]
    return {key.removeprefix(f"{group}."): translate(language, key) for key in keys}


def translate_word(language: str, group: str, word: str) -> str:
    """A word that may have a translation under `group.word`, or as a phrase; itself where it has none."""
    return LOCALES.get(language, {}).get(f"{group}.{word}") or translate_phrase(language, word)


def translate_phrase(language: str, text: str) -> str:
    """A sentence without a key: as a whole, else sentence by sentence and clause by clause, else as it is."""
    if language not in _PATTERNS or len(text) > _LONGEST_PHRASE:
        return text
    core = text.rstrip(".")
    end = text[len(core) :]
    if core in _PHRASES[language]:
        return _PHRASES[language][core] + end
    for parts in (_SENTENCES.split(text), core.split("; ")):
        if len(parts) > 1:
            clauses = [translate_phrase(language, part) for part in parts]
            return " ".join(clauses) if parts[0].endswith((".", "!", "?")) else ". ".join(clauses) + end
    for pattern, translation in _PATTERNS[language]:
        match = pattern.fullmatch(core)
        if match:
            blanks = {name: translate_phrase(language, value) for name, value in match.groupdict().items()}
            return translation.format(**blanks) + end
    return text


def _compile(phrases: dict[str, str]) -> list[tuple[re.Pattern[str], str]]:
    """The phrases with blanks, as patterns: the one with the most words of its own comes first."""
    with_blanks = [phrase for phrase in phrases if "{" in phrase]
    with_blanks.sort(key=lambda phrase: -len(re.sub(r"\{\w+\}", "", phrase)))
    return [
        (re.compile(_BLANK.sub(r"(?P<\1>.+?)", re.escape(phrase)), re.DOTALL), phrases[phrase])
        for phrase in with_blanks
    ]


_PATTERNS = {language: _compile(phrases) for language, phrases in _PHRASES.items()}


def translate_error(language: str, error: DemoError) -> str:
    """An error's sentence. English is the class's own template; other languages may differ by field."""
    texts = LOCALES.get(language, {})
    template = texts.get(f"errors.{error.code}.{error.field}") or texts.get(f"errors.{error.code}")
    if template is None:
        return str(error)
    values = dict(error.values)
    for name, group in (("box", "box"), ("stage", "stage"), ("kind", "choice")):
        if name in values:
            values[name] = translate_word(language, group, str(values[name]))
    for name in _PHRASE_VALUES:
        if name in values:
            values[name] = translate_phrase(language, str(values[name]))
    return template.format(**values)
