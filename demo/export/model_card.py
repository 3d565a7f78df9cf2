"""Model card: what is known of an adapter, as a page for people. Knows no model and no file."""

from __future__ import annotations

from collections.abc import Mapping

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Reading
from demo.domain.recipe import Method

_CARD = """\
---
library_name: {library}
base_model: {base}
pipeline_tag: sentence-similarity
license: {tag}
---

# {name}, tuned with contrastive loss

An adapter over {base}: the same GPT, made an embedding model by the lab "Are GPTs good embedding models?".

- **What learned**: {learned}
- **How it is read**: {reading}
- **Loss**: symmetric InfoNCE, temperature {temperature}, {negatives}
- **Recipe**: {steps} steps of {batch_size} pairs; learning rate up to {learning_rate:g} in {warmup} steps, then down a
  cosine to nothing; texts of at most {max_tokens} tokens; seed {seed}
- **Versions**: {versions}; weights: {weights}, computed in {precision} on {device}

## Data

| source | pairs | weight | licence |
|---|---|---|---|
{data}

{held} pairs were held out of it.

## Scores

{scores}
{load}"""
_LORA = """
## Load it

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(model, "this folder").merge_and_unload()
```
"""


def render_card(told: Mapping, licences: Mapping[str, str]) -> str:
    """What stands in `training.json` (TrainingRun.describe), and each source's licence, as Markdown."""
    recipe, provenance = told["recipe"], told["provenance"]
    entry = CATALOG.get(told["base"])
    lora = recipe["method"] == Method.LORA.value
    base = entry.hub_id if entry else told["base"]
    learned = f"{told['trainable']:,} numbers: "
    if lora:
        learned += f"LoRA of rank {recipe['rank']} on the linear layers from block {recipe['first_block']} on"
    else:
        learned += "one linear map after the final norm"
    guide = recipe["guide"]
    negatives = "in-batch and hard negatives"
    if guide:
        share = f"{recipe['guide_weight']:.0%}"
        negatives = f"in-batch negatives of one topic; {share} of the loss are\n  the cosines of {guide} as soft labels"
    rows = [
        f"| {one['name']} | {one['pairs']:,} | {one['weight']:g} | {licences.get(one['name'], 'not stated')} |"
        for one in told["data"]
    ]
    scores = [f"- {name.replace('_', ' ')}: {value:.3f}" for name, value in told["scores"].items() if value is not None]
    return _CARD.format(
        library="peft" if lora else "safetensors",
        base=base,
        tag=entry.licence.lower() if entry and " " not in entry.licence else "other",
        name=entry.name if entry else told["base"],
        learned=learned,
        reading=Reading.from_dict(told["reading"]).label(),
        temperature=recipe["temperature"],
        negatives=negatives,
        steps=told["steps"],
        batch_size=recipe["batch_size"],
        learning_rate=recipe["learning_rate"],
        warmup=recipe["warmup"],
        max_tokens=recipe["max_tokens"],
        seed=recipe["seed"],
        versions=provenance["versions"],
        weights=f"{provenance['source']}, {provenance['weights_precision']}",
        precision=provenance["precision"],
        device=provenance["device"],
        data="\n".join(rows),
        held=told["held_out"]["pairs"] or "No",
        scores="\n".join(scores) or "None were taken.",
        load=_LORA.format(base=base) if lora else "",
    )
