"""Model card: an adapter's recipe, data and scores as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Reading
from demo.domain.recipe import Method
from demo.export.templating import render


def render_card(training: Mapping, licences: Mapping[str, str]) -> str:
    """The card in Markdown. training: the content of `training.json` (TrainingRun.describe); licences: by source."""
    entry = CATALOG.get(training["base"])
    return render(
        "templates/model_card.md.jinja",
        training=training,
        recipe=training["recipe"],
        provenance=training["provenance"],
        licences=licences,
        lora=training["recipe"]["method"] == Method.LORA.value,
        base=entry.hub_id if entry else training["base"],
        name=entry.name if entry else training["base"],
        license=entry.licence.lower() if entry and " " not in entry.licence else "other",
        reading=Reading.from_dict(training["reading"]).label(),
    )
