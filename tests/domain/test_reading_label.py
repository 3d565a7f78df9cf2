"""The one line that names a reading in figures, exports and both languages."""

from __future__ import annotations

from dataclasses import replace

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt, Reading, Reference, Served

READING = Reading("gpt", Prompt.ECHO, Pooling.MEAN, 12, eos=True, postprocess=Postprocess.ZSCORE)
KOREAN = {"last_layer": "마지막 층", "numbered_layer": "{layer}층"}


def test_label_names_every_choice():
    assert READING.label() == "gpt · echo + EOS · mean · layer 12 · zscore"
    on_corpus = replace(READING, layer=LAST_LAYER, reference=Reference.CORPUS)
    assert on_corpus.label() == "gpt · echo + EOS · mean · last layer · zscore on the corpus"
    served = Reading("remote:far", Prompt.PLAIN, Served.AS_SERVED)
    assert served.label() == "remote:far · plain · as_served"


def test_label_takes_words_of_another_language_and_another_model_name():
    assert READING.label(KOREAN, "SmolLM2") == "SmolLM2 · echo + EOS · mean · 12층 · zscore"
    assert replace(READING, layer=LAST_LAYER, reference=Reference.CORPUS).label(KOREAN, "") == (
        "echo + EOS · mean · 마지막 층 · zscore"
    )


def test_custom_prompt_is_shown_shortened_where_the_words_have_a_place_for_it():
    reading = Reading("gpt", Prompt.CUSTOM, Pooling.MEAN, template="{text}" + "x" * 90)
    assert reading.label() == "gpt · custom · mean · last layer"
    shown = reading.label({**KOREAN, "template": " “{template}”"})
    assert shown == f"gpt · custom “{{text}}{'x' * 73}…” · mean · 마지막 층"
