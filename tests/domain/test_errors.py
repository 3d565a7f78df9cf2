"""Errors: every class says its sentence with its values, survives pickling and is drawn in the tree."""

from __future__ import annotations

import pickle
import string

import pytest

import demo.domain.errors
from demo.domain.errors import BadInput, DemoError, ModelError, NoTexts, ReadingRefused

# Numbers where the template formats a number ("{count:,}"), a word that can be found again elsewhere.
CLASSES = sorted(
    (kind for kind in vars(demo.domain.errors).values() if isinstance(kind, type) and issubclass(kind, DemoError)),
    key=lambda kind: kind.__name__,
)
EVERY_CLASS = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def values_for(kind) -> dict:
    fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(kind.template) if name]
    return {name: 1_234_567 if spec else f"<{name}>" for name, spec in fields}


@EVERY_CLASS
def test_every_value_stands_in_the_message(kind):
    values = values_for(kind)
    message = str(kind(**values))
    for value in values.values():
        assert (f"{value:,}" if isinstance(value, int) else value) in message
    assert message[0] != " "
    assert "\n" not in message


@EVERY_CLASS
def test_a_class_answers_its_name_as_the_code(kind):
    assert kind(**values_for(kind)).code == kind.__name__


@EVERY_CLASS
@pytest.mark.parametrize("field", [None, "layer"])
def test_pickling_keeps_everything(kind, field):
    error = kind(field=field, **values_for(kind))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.field, copy.values) == (str(error), error.field, error.values)


@EVERY_CLASS
def test_a_class_is_drawn_in_the_tree_under_its_parent(kind):
    lines = demo.domain.errors.__doc__.splitlines()
    drawn = {line.replace("│", " ").lstrip(" ├└─").split()[0]: i for i, line in enumerate(lines) if kind_on(line)}
    assert kind.__name__ in drawn
    if kind is DemoError:
        return
    depth = indent(lines[drawn[kind.__name__]])
    above = [line for line in lines[: drawn[kind.__name__]] if kind_on(line) and indent(line) < depth]
    assert above[-1].replace("│", " ").lstrip(" ├└─").split()[0] == kind.__bases__[0].__name__


def test_braces_that_a_person_typed_are_not_a_template():
    assert "{0} {x}" in str(BadInput(problem="{0} {x}"))


def test_the_field_is_the_box_that_caused_it():
    assert NoTexts(field="answers", box="answers").field == "answers"
    assert all(kind.field == "model" for kind in CLASSES if issubclass(kind, ModelError))


def test_a_refusal_offers_another_reading():
    assert ReadingRefused(field="pooling", model="m", reason="r", instead="mean").instead == "mean"
    assert ReadingRefused(field="pooling", model="m", reason="r").instead is None


def kind_on(line: str) -> bool:
    return line.strip().startswith(("DemoError", "├", "└", "│"))


def indent(line: str) -> int:
    return len(line) - len(line.lstrip(" │├└─"))
