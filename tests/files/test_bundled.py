"""The bundled benchmark and reference corpus keep what examples/README.md promises, and are read as written."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict

import pytest

from demo.files.bundled import load_benchmark, load_reference
from tests import ROOT

EXAMPLES = ROOT / "examples"
FILES = sorted((EXAMPLES / "benchmark").glob("*.json"))
SUBJECTS = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FILES}
REFERENCE = json.loads((EXAMPLES / "reference.json").read_text(encoding="utf-8"))
FEWEST = {"en": (12, 8), "ko": (5, 3)}  # pairs and distractors of a subject

EVERY_SUBJECT = pytest.mark.parametrize("subject", SUBJECTS)
EVERY_GROUP = pytest.mark.parametrize(
    ("subject", "language"), [(subject, language) for subject in SUBJECTS for language in FEWEST]
)
EVERY_SET = pytest.mark.parametrize("name", load_benchmark())
EVERY_LANGUAGE = pytest.mark.parametrize("language", FEWEST)


def group(subject: str, language: str) -> dict:
    return SUBJECTS[subject]["sets"][language]


def candidates(subject: str, language: str) -> list[str]:
    return [answer for key in ("pairs", "distractors") for _, answer in group(subject, language)[key]]


def texts(subject: str, language: str) -> list[str]:
    return [question for question, _ in group(subject, language)["pairs"]] + candidates(subject, language)


def words(text: str) -> Counter:
    return Counter(re.findall(r"\w+", text.lower()))


def overlap(a: str, b: str) -> float:
    """Cosine of the word counts."""
    a_words, b_words = words(a), words(b)
    norms = (sum(n * n for n in a_words.values()) * sum(n * n for n in b_words.values())) ** 0.5
    return sum(a_words[word] * b_words[word] for word in a_words) / norms if norms else 0.0


def by_question(labelled) -> dict[int, list[tuple[int, float]]]:
    found = defaultdict(list)
    for (question, answer), label in zip(labelled.pairs, labelled.labels, strict=True):
        found[question].append((answer, label))
    return found


def found_first(name: str) -> float:
    """Share of questions whose answer shares more of their words than any other candidate does."""
    labelled = load_benchmark()[name]
    firsts = []
    for question, its_candidates in by_question(labelled).items():
        scores = [(overlap(labelled.questions[question], labelled.answers[a]), label) for a, label in its_candidates]
        own = next(score for score, label in scores if label == 1)
        firsts.append(all(own > score for score, label in scores if label == 0))
    return sum(firsts) / len(firsts)


# What is written


def test_there_are_ten_subjects_in_two_languages_and_at_least_150_pairs():
    assert len(SUBJECTS) == 10
    assert sorted(one["order"] for one in SUBJECTS.values()) == list(range(1, 11))
    assert sum(len(group(subject, language)["pairs"]) for subject in SUBJECTS for language in FEWEST) >= 150


@EVERY_SUBJECT
def test_a_file_has_the_keys_of_its_format_and_no_others(subject):
    one = SUBJECTS[subject]
    assert set(one) == {"id", "order", "title", "sets"}
    assert one["id"] == subject
    assert re.fullmatch(r"[a-z0-9-]+", subject)
    assert set(one["title"]) == set(one["sets"]) == {"en", "ko"}
    assert all(0 < len(title) < 32 for title in one["title"].values())
    assert re.search("[가-힣]", one["title"]["ko"])
    assert all(set(its) == {"pairs", "distractors"} for its in one["sets"].values())


@EVERY_GROUP
def test_a_subject_has_enough_pairs_and_hard_negatives(subject, language):
    pairs, distractors = FEWEST[language]
    assert len(group(subject, language)["pairs"]) >= pairs
    assert len(group(subject, language)["distractors"]) >= distractors


@EVERY_GROUP
def test_a_distractor_is_close_to_a_question_of_its_own_group(subject, language):
    questions = {question for question, _ in group(subject, language)["pairs"]}
    assert {question for question, _ in group(subject, language)["distractors"]} <= questions


@EVERY_SUBJECT
def test_an_english_distractor_shares_two_content_words_with_its_question(subject):
    for question, distractor in group(subject, "en")["distractors"]:
        shared = {word for word in words(question) & words(distractor) if len(word) > 3}
        assert len(shared) >= 2, (question, distractor)


@EVERY_SUBJECT
def test_a_korean_distractor_shares_a_word_with_its_question(subject):
    for question, distractor in group(subject, "ko")["distractors"]:
        assert words(question) & words(distractor), (question, distractor)


@EVERY_SUBJECT
def test_english_answers_and_distractors_are_one_sentence_of_8_to_30_words(subject):
    for text in candidates(subject, "en"):
        assert 8 <= len(text.split()) <= 30, text
        assert text.endswith("."), text
        assert not re.search(r"[.!?] ", text), text


@EVERY_LANGUAGE
def test_no_text_occurs_twice_in_a_language(language):
    counts = Counter(text for subject in SUBJECTS for text in texts(subject, language))
    assert [text for text, count in counts.items() if count > 1] == []


def test_the_reference_is_large_and_distinct_and_shares_no_text_with_the_sets():
    assert set(REFERENCE) == {"en", "ko"}
    assert len(REFERENCE["en"]) >= 180
    assert len(REFERENCE["ko"]) >= 60
    reference = REFERENCE["en"] + REFERENCE["ko"]
    assert len(set(reference)) == len(reference)
    used = {text for subject in SUBJECTS for language in FEWEST for text in texts(subject, language)}
    for file in (EXAMPLES / "sets").glob("*.json"):
        one = json.loads(file.read_text(encoding="utf-8"))
        used |= {*one["questions"], *one["answers"]}
    assert used.isdisjoint(reference)


def test_texts_are_short_single_lines_and_korean_is_written_in_korean():
    for language in FEWEST:
        for text in [text for subject in SUBJECTS for text in texts(subject, language)] + REFERENCE[language]:
            assert text == text.strip()
            assert 0 < len(text) <= 300
            assert not any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in text), text
            assert bool(re.search("[가-힣]", text)) == (language == "ko"), text
            assert unicodedata.normalize("NFC", text) == text


def test_shared_words_do_not_solve_it():
    """Neither the key to the English sets nor its mirror image: overlap finds some answers and misses most."""
    assert 0.2 < found_first("all-en") < 0.6
    assert found_first("all-ko") < 0.6


# What is read


def test_the_sets_are_one_for_each_subject_and_language_and_one_for_each_language():
    ordered = sorted(SUBJECTS, key=lambda subject: SUBJECTS[subject]["order"])
    single = [f"{subject}-{language}" for subject in ordered for language in FEWEST]
    sets = load_benchmark()
    assert list(sets) == [*single, "all-en", "all-ko"]
    for language in FEWEST:
        parts = [sets[f"{subject}-{language}"] for subject in ordered]
        assert sets[f"all-{language}"].questions == tuple(text for part in parts for text in part.questions)
        assert sets[f"all-{language}"].labels == tuple(label for part in parts for label in part.labels)


def test_the_reference_is_read_once_and_english_first():
    assert load_reference() == (*REFERENCE["en"], *REFERENCE["ko"])
    assert load_reference() is load_reference()


@EVERY_SET
def test_a_set_is_whole(name):
    labelled = load_benchmark()[name]
    assert labelled.name == name
    assert not labelled.graded
    assert len(labelled.pairs) == len(labelled.labels) == len(set(labelled.pairs))
    assert set(labelled.labels) == {0.0, 1.0}
    assert len(set(labelled.questions)) == len(labelled.questions)
    assert len(set(labelled.answers)) == len(labelled.answers)
    assert {question for question, _ in labelled.pairs} == set(range(len(labelled.questions)))
    assert {answer for _, answer in labelled.pairs} == set(range(len(labelled.answers)))
    for its_candidates in by_question(labelled).values():
        assert sum(label for _, label in its_candidates) == 1 < len(its_candidates), "one right answer, and wrong ones"


@EVERY_GROUP
def test_the_candidates_are_those_of_the_questions_own_subject_and_language(subject, language):
    right = dict(group(subject, language)["pairs"])
    for name in (f"{subject}-{language}", f"all-{language}"):
        labelled = load_benchmark()[name]
        for question, its_candidates in by_question(labelled).items():
            text = labelled.questions[question]
            if text in right:
                assert [labelled.answers[answer] for answer, _ in its_candidates] == candidates(subject, language)
                assert [labelled.answers[answer] for answer, label in its_candidates if label == 1] == [right[text]]
