"""Column names: what the names that data sets give their columns say about them, in English and Korean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# By role, the known names: of two in one file, the first here counts. Passages come before short answers, since data
# sets that have both (MS MARCO, DPR) mean passages to be found.
_NAMES = {
    "question": (
        *("question", "query", "anchor", "sentence1", "text1", "question1", "premise", "instruction", "prompt"),
        *("user", "human", "input", "sent1", "q", "questions", "queries", "prompts"),
        *("질문", "질의", "물음", "문제", "질문내용", "질문1", "문장1", "지시문", "사용자", "입력"),
    ),
    "answer": (
        *("positivepassages", "positivectxs", "passages", "answer", "positive", "passage", "sentence2", "text2"),
        *("question2", "document", "entailment", "hypothesis", "completion", "response", "chosen", "output"),
        *("assistant", "pos", "positives", "sentence", "sent2", "reply", "a", "answers", "documents", "completions"),
        *("responses", "답", "답변", "대답", "정답", "응답", "답변내용", "해답", "질문2", "문장2", "출력"),
        *("context", "contexts"),  # of SQuAD, where it holds no answers
    ),
    "negative": (
        *("hardnegative", "negative", "neg", "hardnegatives", "negatives", "contradiction", "rejected"),
        *("negativepassages", "hardnegativectxs", "negativectxs", "오답"),
    ),
    "label": (
        *("label", "score", "relevance", "gold", "goldlabel", "similarity", "similarityscore", "relatednessscore"),
        *("isduplicate", "duplicate", "isrelevant", "relevant", "iscorrect", "correct", "labels", "scores"),
        *("라벨", "레이블", "점수", "유사도", "관련도", "정답여부", "일치여부", "중복여부"),
    ),
    "id": ("questionid", "id", "queryid", "qid", "idx", "index", "unnamed:0", "rowid", "번호"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
_NUMBERED = re.compile(r"((?:hard)?neg(?:ative)?)\d+")  # negative_1, negative_2 … as sentence-transformers numbers them
_GRADES = {
    *("score", "scores", "relevance", "gold", "similarity", "similarityscore", "relatednessscore"),
    *("점수", "유사도", "관련도"),
}
_NAME = re.compile(r"[^\W\d_]\w*(?:[ -]\w+)?")  # one word or two, without the marks of a sentence
_MOST_OF_A_NAME = 30  # characters


def name_roles(names: Iterable[str]) -> list[str | None]:
    """The role of each column by its name; None where a name says nothing. Case, spaces, - and _ do not matter."""
    return [_ROLES.get(_NUMBERED.sub(r"\1", plain_name(name))) for name in names]


def places_by_role(names: Sequence[str]) -> dict[str, list[int]]:
    """The columns of each role, in the order in which they count."""
    roles = name_roles(names)
    return {
        role: sorted(
            (place for place, its in enumerate(roles) if its == role),
            key=lambda place: known.index(_NUMBERED.sub(r"\1", plain_name(names[place]))),
        )
        for role, known in _NAMES.items()
    }


def names_grades(name: str) -> bool:
    """Whether a label column's name says that it holds grades, such as score."""
    return plain_name(name) in _GRADES


def plain_name(name: str) -> str:
    """A name without what does not matter in it."""
    return re.sub(r"[\s_-]", "", name).casefold()


def look_like_names(first: Sequence[str], others: Iterable[Sequence[str]]) -> bool:
    """Whether a first row without a known name seems to name the columns: a word or two each, unlike the rows below."""
    rows = list(others)
    like = sum(all(map(_is_name, row)) for row in rows)
    return len(set(first)) == len(first) and all(map(_is_name, first)) and 4 * like < len(rows)


def _is_name(cell: str) -> bool:
    return len(cell) <= _MOST_OF_A_NAME and _NAME.fullmatch(cell) is not None
