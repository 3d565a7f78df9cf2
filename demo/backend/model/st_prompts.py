"""Prompts of a sentence-transformers checkpoint: what its config writes before questions and before answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.domain.errors import UnsupportedModel

_DOCUMENTS = ("document", "passage", "corpus")  # the names that `encode_document` is documented to try, in its order


def choose_prompts(
    own: Mapping[str, Any], query_name: str, model: str
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """(before a question, before an answer, notices); None twice where nothing is written.

    own: config_sentence_transformers.json. The prompts are those of `encode_query` and `encode_document`, but for two
    cases in which a checkpoint names what these do not reach in release 6.2, since an empty "query" and "document"
    are put into every checkpoint: "passage" or "corpus" without a "document" is the answers' prompt, and a default
    prompt beside which no side has one of its own is both sides', as in `encode`. A notice says so. Raises
    UnsupportedModel for a default prompt that is not there, as sentence-transformers does, and for prompts that are no
    texts.
    """
    prompts = own.get("prompts") or {}
    if not isinstance(prompts, Mapping) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise UnsupportedModel(model=model, reason="its prompts are no texts.")
    default = own.get("default_prompt_name")
    if default is not None and default not in ["query", "document", *prompts]:
        raise UnsupportedModel(model=model, reason=f"its default prompt ({default}) is not among its prompts.")
    query = prompts.get(query_name) or prompts.get("query")
    name, document = next(((name, prompts[name]) for name in _DOCUMENTS if prompts.get(name)), ("", None))
    notices = []
    if name in _DOCUMENTS[1:]:
        notices.append(
            f"Before answers the lab writes the checkpoint's prompt “{name}”, as its name says; encode_document of "
            "sentence-transformers 6.2 writes none."
        )
    if not query and not document and prompts.get(default):
        query = document = prompts[default]
        notices.append(
            f"Before all texts the lab writes the checkpoint's default prompt “{default}”, as encode of "
            "sentence-transformers does."
        )
    elif default and prompts.get(default) not in (None, "", query, document):
        notices.append(f"The checkpoint's default prompt “{default}” is not written: its sides have their own.")
    unused = [name for name, text in prompts.items() if text and text not in (query, document)]
    if unused and not query and not document:
        notices.append(f"The checkpoint names prompts, but none for questions or answers: {', '.join(unused)}.")
    if not query and not document:
        return None, None, tuple(notices)
    return query or "", document or "", tuple(notices)
