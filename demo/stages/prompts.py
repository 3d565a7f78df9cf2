"""Prompts: what is written around a text before the model reads it. Knows no tokenizer and no model.

The chat template belongs to the tokenizer, so `chat` is only marked here and written by the backend.
"""

from __future__ import annotations

from dataclasses import replace

from demo.domain.choices import Role
from demo.domain.datamodels import TEXT, ModelInfo, Prompt, PromptedText, Reading

# The exact forms of the papers that Prompt's docstring names. Texts are tidied by `_as_sentence`.
_SENTENCE = f'This sentence : "{TEXT}" means in one word:"'
_PROMPTEOL_TEMPLATES = {
    Prompt.PROMPTEOL: _SENTENCE,
    Prompt.TOKEN_PREPENDING: _SENTENCE,
    Prompt.PROMPTEOL_EXAMPLE: f'This sentence : "A man is smoking." means in one word:"Smoking".{_SENTENCE}',
    Prompt.CHAIN_OF_THOUGHT: f'After thinking step by step , this sentence : "{TEXT}" means in one word:"',
    Prompt.KNOWLEDGE: (
        "The essence of a sentence is often captured by its main subjects and actions, while descriptive terms "
        "provide additional but less central details. With this in mind , "
        f'this sentence : "{TEXT}" means in one word:"'
    ),
}
_ECHO = f"Rewrite the sentence: {TEXT}, rewritten sentence: {TEXT}"


def render_prompt(text: str, reading: Reading, role: Role, info: ModelInfo) -> PromptedText:
    """One text as the model shall receive it under a reading."""
    prompt, eos = reading.prompt, reading.eos
    if prompt is Prompt.CHAT:
        return PromptedText(text, chat=True, eos=eos)
    if prompt is Prompt.OWN:
        before = (info.query_prompt if role is Role.QUESTION else info.document_prompt) or ""
        if info.own_chat is None:
            return PromptedText(text, template=before + TEXT, eos=eos)
        form, task = info.own_chat, "query" if role is Role.QUESTION else "document"
        if form.names_task:
            form = replace(form, options=(("task", task), *form.options))
        return PromptedText(text, chat=True, system=before, chat_format=form, eos=eos)
    if prompt is Prompt.E5_INSTRUCT and role is Role.QUESTION:
        return PromptedText(text, template=f"Instruct: {reading.task}\nQuery: {TEXT}", eos=eos)
    if prompt is Prompt.ECHO:
        return PromptedText(text, template=_ECHO, eos=eos, pool_text_only=True)
    if prompt is Prompt.CUSTOM:
        return PromptedText(text, template=reading.template, eos=eos)
    if prompt in _PROMPTEOL_TEMPLATES:
        placeholder = prompt is Prompt.TOKEN_PREPENDING
        return PromptedText(_as_sentence(text), template=_PROMPTEOL_TEMPLATES[prompt], eos=eos, placeholder=placeholder)
    if prompt in (Prompt.PLAIN, Prompt.E5_INSTRUCT):
        return PromptedText(text, eos=eos)
    raise ValueError(f"{prompt.value} has no template")


def _as_sentence(text: str) -> str:
    """PromptEOL's own tidying: a full stop at the end, no double quotes inside the double quotes."""
    text = text.replace('"', "'")
    if text.endswith("?"):
        return text[:-1] + "."
    return text if text.endswith((".", "'")) else text + "."
