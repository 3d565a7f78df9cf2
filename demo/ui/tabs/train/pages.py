"""One open page of the Train tab: its run, the figures that it has, and the models that it kept. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.view import keep_figure
from demo.ui.tabs.train.runs import Run
from demo.ui.tabs.train.text import train_figures


@dataclass(eq=False)
class Page(PageJob):
    """Its job is a run."""

    run: Run | None = None
    previous: Run | None = None  # comes back where the next one fails before its first snapshot
    failed: str = ""  # why the last run did not start, or failed
    chosen_step: int | None = None  # the step that is looked back at; None for the newest
    drawn: dict[str, dict[str, tuple]] = field(default_factory=dict)  # by view and figure, the key it was drawn with
    sent: dict[str, Any] = field(default_factory=dict)  # the last update by widget: an equal one is not sent again
    models: dict[str, str] = field(default_factory=dict)  # in this person's list: names by id

    def close(self) -> None:
        super().close()
        if self.previous is not None and not self.run.snapshots:
            self.show(self.previous)
        self.previous = None

    def show(self, run: Run | None) -> None:
        """Show another run, from its newest snapshot on."""
        self.run, self.drawn, self.chosen_step = run, {}, None

    def figures(self, language: str, view: str) -> list[dict[str, Any]] | None:
        """A view's figures; of an unchanged one the id alone. None where nothing has changed."""
        snapshot = self.run.snapshot_at(self.chosen_step) if self.run else None
        drawings = train_figures(language, self.run, snapshot)[view] if snapshot else {}
        keys = {name: key for name, (key, _) in drawings.items()}
        before, self.drawn[view] = self.drawn.get(view), keys
        if before == keys:
            return None
        return [
            keep_figure(name) if before and before.get(name) == key else draw()
            for name, (key, draw) in drawings.items()
        ]
