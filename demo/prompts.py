"""Prompts: what is written around a text before the model reads it. Knows no tokenizer and no model.

The chat template belongs to the tokenizer, so `chat` is only marked here and written by the backend.
"""

from __future__ import annotations

from demo.datamodels import ModelInfo, Prompt, PromptedText, Role


def render_prompt(text: str, prompt: Prompt, role: Role, info: ModelInfo) -> PromptedText:
    """One text as the model shall receive it."""
    if prompt is Prompt.CHAT:
        return PromptedText(text, chat=True)
    if prompt is Prompt.OWN:
        before = info.query_prompt if role is Role.QUESTION else info.document_prompt
        return PromptedText(text, before=before or "")
    return PromptedText(text)
