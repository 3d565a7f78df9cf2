"""A person without a browser: sends the requests that live.js would send for an open page, at next to no cost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from demo.serving.limits.client_address import PAGE_HEADER
from demo.ui.live.form import FORM_FIELDS

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read_form(config: dict[str, Any]) -> dict[str, Any]:
    """The values of the lab's widgets when the page opens, by field name, from the page's /config."""
    values = {one["props"].get("elem_id"): one["props"].get("value") for one in config["components"]}
    return {name: values[name] for name in FORM_FIELDS}


class Person:
    """An open page with two lists of texts, whose edits are answered by heatmaps, one request at a time.

    waits: seconds from each edit to the first heatmap that has it; an edit that was replaced waits for a newer one's.
    lost: whether the last heatmap is not that of the texts as they are.
    """

    def __init__(
        self, client: httpx.AsyncClient, form: dict[str, Any], questions: Sequence[str], answers: Sequence[str]
    ):
        self.texts = {"questions": list(questions), "answers": list(answers)}
        self.waits: list[float] = []
        self.edits = self.replaced = 0
        self.errors: Counter[str] = Counter()
        self.lost = True
        self._client = client
        self._form = dict(form)
        self._headers = {PAGE_HEADER: uuid.uuid4().hex}
        self._sent_back: dict[str, Any] = {"link": ""}  # what the next request says beside the form
        self._pending: list[float] = []  # when the edits were made that no heatmap has yet
        self._wanted = False  # something has changed since the last request was sent
        self._asking: asyncio.Task | None = None

    async def open(self) -> None:
        """Open the page and put the texts into its boxes. Returns when their heatmap is there."""
        self._ask()
        await self.rest()
        self._write()
        await self.rest()

    async def edit(self, turn: int) -> None:
        """One more letter before one of the texts, which is then a text that nobody had before."""
        box = ("questions", "answers")[turn % 2]
        row, again = turn // 2 % len(self.texts[box]), turn // 2 // len(self.texts[box])
        self.texts[box][row] = LETTERS[again % len(LETTERS)] + self.texts[box][row]
        self.edits += 1
        self._pending.append(time.perf_counter())
        self._write()

    async def rest(self) -> None:
        """Until all is answered."""
        if self._asking is not None:
            await self._asking

    def _write(self) -> None:
        self._form |= {box: "\n".join(texts) for box, texts in self.texts.items()}
        self.lost = True
        self._ask()

    def _ask(self) -> None:
        """Now, or as soon as the request under way is answered."""
        self._wanted = True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            sent, taken = dict(self._form), len(self._pending)
            try:
                reply = await self._client.post("/live", json={"form": sent, **self._sent_back}, headers=self._headers)
                answer = reply.raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                self.errors[str(error).split("\n")[0] or type(error).__name__] += 1
                continue
            self._sent_back = {
                **answer["memory"],
                "drawn": answer["state"] == "ready" or bool(self._sent_back.get("drawn")),
            }
            news = {
                name: properties["value"] for name, properties in answer["updates"].items() if "value" in properties
            }
            self._form |= {name: value for name, value in news.items() if name in self._form}
            if answer["state"] == "loading":
                await asyncio.sleep(answer["again"])
                self._wanted = True
            elif answer["state"] == "ready":
                now = time.perf_counter()
                self.waits += [now - made for made in self._pending[:taken]]
                self.replaced += max(taken - 1, 0)
                del self._pending[:taken]
                self.lost = any(self._form[box] != sent[box] for box in self.texts)
            else:
                self.errors[f"{answer['state']}: {answer.get('note', '')}"] += 1
