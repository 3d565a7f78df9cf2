"""What the server remembers of one open page's training: its run, what was drawn of it, what was taken. No widget."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.domain.errors import DemoError, Stopped
from demo.domain.recipe import TrainingSet
from demo.lab import Lab
from demo.ui.kit.i18n import translate, translate_error
from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.kit.view import keep_figure
from demo.ui.tabs.train.runs import Run
from demo.ui.tabs.train.text import train_figures


@dataclass(eq=False)
class Page(PageJob):
    """Its job is a run."""

    run: Run | None = None
    previous: Run | None = None  # comes back where the next one fails before it has shown anything
    uploaded: TrainingSet | None = None  # of the file
    refused: str = ""  # why there is none
    failed: str = ""  # why the last run could not be, or ended
    chosen: int | None = None  # the step that is looked back at; None for the newest
    drawn: dict[str, dict[str, tuple]] = field(default_factory=dict)  # by view and figure, what it was drawn of
    sent: dict[str, Any] = field(default_factory=dict)  # by widget: the same is not sent twice
    taken: list[tuple[str, str]] = field(default_factory=list)  # (name, id) of the models in this person's list
    packed: Path | None = None  # the file that was made last
    lock: threading.Lock = field(default_factory=threading.Lock)  # ticks and clicks may come together

    def show(self, run: Run | None) -> None:
        """Another run is what the page shows, from its newest look on."""
        self.run, self.drawn, self.chosen = run, {}, None

    def end(self, language: str, lab: Lab) -> None:
        """Once, when the job has ended: what is to be said of it. Only words stay, not what the run held."""
        if self.job is None or self.running:
            return
        job, self.job = self.job, None
        try:
            job.result()
        except Stopped:
            self.failed = translate(language, "train.never_began")
        except DemoError as error:
            self.failed = translate_error(language, error)
        except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
            self.failed = report_unexpected(language, error, "a training run")
        previous, self.previous = self.previous, None
        if previous is not None:
            if self.run.looks:
                previous.discard(lab)
            else:
                self.show(previous)

    def figures(self, language: str, view: str) -> list[dict[str, Any]] | None:
        """A view's pictures; of one that is as it was drawn last, the id alone. None where nothing has changed."""
        look = self.run.look_at(self.chosen) if self.run else None
        drawings = train_figures(language, self.run, look)[view] if look else {}
        keys = {name: key for name, (key, _) in drawings.items()}
        before, self.drawn[view] = self.drawn.get(view), keys
        if before == keys:
            return None
        return [
            keep_figure(name) if before and before.get(name) == key else make()
            for name, (key, make) in drawings.items()
        ]
