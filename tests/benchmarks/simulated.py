"""A person without a browser: asks the page's server what Gradio's front end would ask, at next to no cost.

Which functions the page has, and how they are called, is read from its /config when the benchmark runs. Not the public
endpoints: the page's own, each person in a session of their own.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

API = "/gradio_api/"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Refused(Exception):
    """The server answered, but not with an answer."""


@dataclass(frozen=True)
class Listener:
    """A function of the page that runs on the server. Components are named by their numbers."""

    fn: int
    queued: bool  # called over the queue and its stream, else by one plain request
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    changes: frozenset[int]  # the components whose change calls it
    settles: bool  # whether an answer with news for the widgets calls it


@dataclass(frozen=True)
class PageConfig:
    """What a session needs to know of the page."""

    ids: dict[str, int]  # of the components that have a name
    values: dict[int, Any]  # what stands in each component when the page opens
    computing: Listener  # answers an edit with a heatmap; its last input is what sayWhatIsShown() says
    settling: Listener  # called by the front end when an answer has news for the widgets


def read_config(config: dict[str, Any]) -> PageConfig:
    """From the page's /config. Raises LookupError where no function answers an edit with a heatmap."""
    ids = {one["props"]["elem_id"]: one["id"] for one in config["components"] if one["props"].get("elem_id")}
    listeners = [
        Listener(
            fn=one["id"],
            queued=one["queue"] is not False,
            inputs=tuple(one["inputs"]),
            outputs=tuple(one["outputs"]),
            changes=frozenset(component for component, event in one["targets"] if event == "change"),
            settles=[ids["heatmap"], "settle"] in one["targets"],
        )
        for one in config["dependencies"]
        if one["backend_fn"]
    ]
    edits = {ids["questions"], ids["answers"]}
    computing = [one for one in listeners if edits <= one.changes and ids["heatmap"] in one.outputs]
    settling = [one for one in listeners if one.settles]
    if len(computing) != 1 or len(settling) != 1:
        found = f"{len(computing)} functions answer an edit with a heatmap, {len(settling)} settle the widgets."
        raise LookupError(found)
    return PageConfig(
        ids=ids,
        values={one["id"]: one["props"].get("value") for one in config["components"]},
        computing=computing[0],
        settling=settling[0],
    )


def said(value: Any) -> Any:
    """What an answer says of a component: its new value, or None where it stays as it is."""
    if isinstance(value, dict) and value.get("__type__") == "update":
        return value.get("value")
    return value


class AlwaysLast:
    """Gradio's `always_last`: one question is under way; of what is wished meanwhile, one more is asked after it."""

    def __init__(self, ask: Callable[[], Awaitable[None]]):
        self._ask = ask
        self._wished = False
        self._task: asyncio.Task | None = None

    def wish(self) -> None:
        """Ask now, or as soon as the question under way is answered."""
        self._wished = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def rest(self) -> None:
        """Until nothing is under way."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._wished:
            self._wished = False
            await self._ask()


class Person:
    """An open page with two lists of texts, whose edits are answered by heatmaps.

    waits: seconds from each edit to the first heatmap that has it; an edit that was replaced waits for a newer one's.
    settle_waits: seconds that each question took which an answer made the front end ask.
    """

    def __init__(self, client: httpx.AsyncClient, page: PageConfig, questions: Sequence[str], answers: Sequence[str]):
        self.texts = {"questions": list(questions), "answers": list(answers)}
        self.waits: list[float] = []
        self.settle_waits: list[float] = []
        self.edits = self.replaced = 0
        self.errors: Counter[str] = Counter()
        self._client = client
        self._page = page
        self._session = uuid.uuid4().hex
        self._values = dict(page.values)
        self._shown: dict[str, Any] = {}  # the heatmap's payloads, one over the other
        self._pending: list[float] = []  # when the edits were made that no heatmap has yet
        self._stream = asyncio.Lock()
        self._heartbeat: asyncio.Task | None = None
        self._computing = AlwaysLast(self._compute)
        self._settling = AlwaysLast(self._ask_news)
        self._there = 0  # the news that the widgets have

    async def open(self) -> None:
        """Open the page and put the texts into its boxes. Returns when their heatmap is there."""
        self._heartbeat = asyncio.create_task(self._beat())
        await self._settle()
        self._write()
        await self._settle()
        self.settle_waits.clear()

    async def edit(self, turn: int) -> None:
        """One more letter before one of the texts, which is then a text that nobody had before."""
        box = ("questions", "answers")[turn % 2]
        row, again = turn // 2 % len(self.texts[box]), turn // 2 // len(self.texts[box])
        self.texts[box][row] = LETTERS[again % len(LETTERS)] + self.texts[box][row]
        self._write()
        self.edits += 1
        self._pending.append(time.perf_counter())
        self._computing.wish()

    async def rest(self) -> None:
        """Until all is answered."""
        await self._computing.rest()
        await self._settling.rest()

    @property
    def lost(self) -> bool:
        """Whether the last heatmap is not that of the texts as they are."""
        return any(self._shown.get(box) != texts for box, texts in self.texts.items())

    def close(self) -> None:
        """Leave the page."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    async def _settle(self) -> None:
        self._computing.wish()
        await self.rest()

    def _write(self) -> None:
        for box, texts in self.texts.items():
            self._values[self._page.ids[box]] = "\n".join(texts)

    async def _compute(self) -> None:
        listener, taken = self._page.computing, len(self._pending)
        self._values[listener.inputs[-1]] = self._said()
        try:
            answer = await self._ask(listener)
        except (httpx.HTTPError, Refused) as error:
            self.errors[_first_line(error)] += 1
            return
        heatmap = said(answer[listener.outputs.index(self._page.ids["heatmap"])]) or {"state": "no heatmap"}
        if heatmap["state"] == "loading":
            await asyncio.sleep(heatmap["again"])
            self._computing.wish()
        elif heatmap["state"] == "ready":
            now = time.perf_counter()
            self.waits += [now - made for made in self._pending[:taken]]
            self.replaced += max(taken - 1, 0)
            del self._pending[:taken]
        else:
            self.errors[f"{heatmap['state']}: {heatmap.get('note', '')}"] += 1
        self._shown |= heatmap
        if heatmap.get("settle", 0) not in (0, self._there):
            self._settling.wish()

    def _said(self) -> str:
        """As page.js says which answer and which news it has."""
        return f"seq={self._shown['seq']}&settled={self._there}" if "seq" in self._shown else ""

    async def _ask_news(self) -> None:
        started, coming, listener = time.perf_counter(), self._shown["settle"], self._page.settling
        try:
            answer = await self._ask(listener)
        except (httpx.HTTPError, Refused) as error:
            self.errors[f"after an answer: {_first_line(error)}"] += 1
            return
        self.settle_waits.append(time.perf_counter() - started)
        told = {component: said(value) for component, value in zip(listener.outputs, answer, strict=True)}
        self._values |= {component: value for component, value in told.items() if value is not None}
        self._there = coming

    async def _ask(self, listener: Listener) -> list[Any]:
        """What a function of the page answers, one value an output. Raises httpx.HTTPError or Refused."""
        body = {
            "data": [self._values[component] for component in listener.inputs],
            "event_data": None,
            "fn_index": listener.fn,
            "trigger_id": None,
            "session_hash": self._session,
        }
        if not listener.queued:
            reply = await self._client.post(f"{API}run/predict", json=body)
            reply.raise_for_status()
            return reply.json()["data"]
        async with self._stream:  # a session has one
            (await self._client.post(f"{API}queue/join", json=body)).raise_for_status()
            return await self._read_stream()

    async def _read_stream(self) -> list[Any]:
        done: dict[str, Any] = {"msg": "no answer"}
        where = {"session_hash": self._session}
        async with self._client.stream("GET", f"{API}queue/data", params=where) as stream:
            stream.raise_for_status()
            async for line in stream.aiter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") in ("process_completed", "unexpected_error"):
                    done = message
        if not done.get("success"):
            raise Refused(str((done.get("output") or {}).get("error") or done.get("message") or done["msg"]))
        return done["output"]["data"]

    async def _beat(self) -> None:
        """Keeps the session alive, as an open page does; when it ends, the server takes the page for closed."""
        try:
            async with self._client.stream("GET", f"{API}heartbeat/{self._session}", timeout=None) as stream:
                async for _ in stream.aiter_raw():
                    pass
        except httpx.HTTPError as error:
            self.errors[f"heartbeat: {_first_line(error)}"] += 1


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
