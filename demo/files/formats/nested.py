"""Nested records: the shapes in which data sets hold several texts in one field become lists of texts.

SQuAD and KorQuAD, MS MARCO, DPR and Tevatron passages, FlagEmbedding's `pos` and `neg`, chats (OpenAI's messages,
ShareGPT's conversations), preferences of messages. What none of them is stays unread, and its cause is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from demo.files.formats import Records
from demo.files.roles import name_roles

_TEXT_KEYS = ("text", "passage_text", "content", "contents", "value")
_ROLE_KEYS, _USERS = ("role", "from", "speaker"), ("user", "human", "prompter")
_ASSISTANTS = ("assistant", "gpt", "chatgpt", "bot", "model")
_SELECTED = "is_selected"  # of MS MARCO's passages
_REST = "negative_passages"


class _Unread(ValueError):
    """A value that holds no texts; its message says what it holds."""


def flatten(records: Records) -> tuple[Records, dict[str, str]]:
    """(records whose values are scalars and lists of texts, causes by the name of a field that was left out)."""
    flat: Records = []
    unread: dict[str, str] = {}
    for number, record in records:
        if not any(isinstance(value, list | dict) for value in record.values()):
            flat.append((number, record))
            continue
        for exchange in _exchanges(_split_passages(record)):
            flat.append((number, exchange))
            for key, value in exchange.items():
                if isinstance(value, list | dict):
                    try:
                        exchange[key] = _texts(_last_message(value))
                    except _Unread as error:
                        unread.setdefault(key, str(error))
    if unread:
        flat = [(number, {key: value for key, value in one.items() if key not in unread}) for number, one in flat]
    return flat, unread


def unwrap(value: Any) -> Any:
    """The records of SQuAD's JSON, of pandas' orientations, and of an object around one list; else the value itself."""
    if not isinstance(value, dict):
        return value
    data = value.get("data")
    if isinstance(data, list) and isinstance(value.get("columns"), list) and all(isinstance(r, list) for r in data):
        return [dict(zip(map(str, value["columns"]), row, strict=False)) for row in data]  # orient="split"
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        return [record for one in data for record in _squad(one)] if any(map(_is_squad, data)) else data
    if value and all(isinstance(column, dict) for column in value.values()):  # orient="columns", pandas' default
        rows = dict.fromkeys(row for column in value.values() for row in column)
        if any(name_roles(rows)) and not any(name_roles(value)):
            return list(value.values())  # orient="index"
        return [{name: column.get(row) for name, column in value.items()} for row in rows]
    return value


def _is_squad(article: Mapping[str, Any]) -> bool:
    return isinstance(article.get("paragraphs"), list) or isinstance(article.get("qas"), list)


def _squad(article: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record a question. KorQuAD 2 has the questions in the article itself."""
    for paragraph in article.get("paragraphs") or [article]:
        for one in paragraph.get("qas") or () if isinstance(paragraph, dict) else ():
            if isinstance(one, dict):
                answers = one.get("answers") or one.get("answer") or []
                found = {"id": one.get("id"), "question": one.get("question"), "answers": answers}
                yield found | {"context": paragraph.get("context"), "title": article.get("title")}


def _split_passages(record: Mapping[str, Any]) -> dict[str, Any]:
    """MS MARCO's passages: those that were selected stay, the others are hard negatives."""
    split = dict(record)
    for key, value in record.items():
        if isinstance(value, dict) and isinstance(value.get(_SELECTED), list):
            texts = next((value[name] for name in _TEXT_KEYS if isinstance(value.get(name), list)), [])
            marked = list(zip(texts, value[_SELECTED], strict=False))
        elif isinstance(value, list) and value and all(isinstance(one, dict) and _SELECTED in one for one in value):
            marked = [(one, one[_SELECTED]) for one in value]
        else:
            continue
        split[key] = [text for text, selected in marked if selected]
        split[_REST] = [text for text, selected in marked if not selected]
    return split


def _exchanges(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """A chat becomes a record for each message of a user that an assistant answers; any other record stays."""
    chat = next((key for key, value in record.items() if _is_chat(value) and name_roles([key]) == [None]), None)
    if chat is None:
        return [record]
    found: list[dict[str, Any]] = []
    others = {key: value for key, value in record.items() if key != chat}
    asked = ""
    for message in record[chat]:
        text = "\n".join(_content(message))
        if _role(message) in _USERS:
            asked = text
        elif _role(message) in _ASSISTANTS and asked:
            found.append({"question": asked, "answer": text, **others})
            asked = ""
    return found or [others]


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and _role(one) for one in value)


def _role(message: Mapping[str, Any]) -> str:
    role = next((message[key] for key in _ROLE_KEYS if key in message), "")
    return role.casefold() if isinstance(role, str) else ""


def _content(message: Mapping[str, Any]) -> list[str]:
    content = next((message[key] for key in ("parts", *_TEXT_KEYS) if message.get(key)), "")
    try:
        return _texts(content)
    except _Unread:
        return []


def _last_message(value: Any) -> Any:
    """Of messages the last one's content: a preference holds prompt, chosen and rejected in this way."""
    return _content(value[-1]) if _is_chat(value) else value


def _texts(value: Any) -> list[str]:
    """The texts of a value, each once. Raises _Unread."""
    if value is None or isinstance(value, str):
        found = [value or ""]
    elif isinstance(value, int | float):
        found = [json.dumps(value)]
    elif isinstance(value, dict):
        key = next((key for key in _TEXT_KEYS if isinstance(value.get(key), str | list)), None)
        if key is None:
            raise _Unread(f"objects with the keys {', '.join(f'“{key}”' for key in list(value)[:5])}")
        title = value.get("title")
        found = _texts(value[key])
        if isinstance(title, str) and title.strip() and isinstance(value[key], str):
            found = [f"{title.strip()} {found[0]}"] if found else []  # as BEIR and DPR join the two
    else:
        if any(isinstance(one, list) for one in value):
            raise _Unread("lists within lists")
        found = [text for one in value for text in _texts(one)]
    return list(dict.fromkeys(text.strip() for text in found if text.strip()))
