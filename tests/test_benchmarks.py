"""Benchmarks: their arithmetic, and the simulated person against a mocked page. No load."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: no benchmarks in a browser")

from tests.benchmarks.people import SIDE, deal_texts, keep_editing, read_device, spread
from tests.benchmarks.simulated import Person, read_form

FORM = {"questions": "", "answers": "", "model": "gpt2"}


class Page:
    """A server of live requests. While `open` is not set, it does not answer."""

    def __init__(self, state: str = "ready", code: int = 200):
        self.state, self.code = state, code
        self.open = asyncio.Event()
        self.open.set()
        self.requests: list[dict] = []
        self.under_way = self.most_under_way = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/live"
        self.requests.append(json.loads(request.content))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.open.wait()
        self.under_way -= 1
        updates = {"model": {"value": "all-minilm-l6-v2"}, "layer": {"maximum": 6}}
        answer = {"state": self.state, "again": 0.001, "memory": {"model": "m"}, "updates": updates}
        self.state = "ready" if self.state == "loading" else self.state
        return httpx.Response(self.code, json=answer)


def run_person(page: Page, act) -> Person:
    """Opens the page with one question and two answers; then act(person)."""

    async def run() -> Person:
        async with httpx.AsyncClient(transport=httpx.MockTransport(page), base_url="http://page") as client:
            person = Person(client, FORM, ["q"], ["a", "b"])
            await person.open()
            await act(person)
            await person.rest()
        return person

    return asyncio.run(run())


def test_waits_are_told_by_nearest_rank():
    seconds = [i / 1000 for i in range(101)]
    assert spread("answer", seconds) == {"answer_ms_median": 50, "answer_ms_p95": 95, "answer_ms_most": 100}
    assert spread("answer", []) == {}


def test_everybody_gets_texts_that_nobody_else_has():
    hands = deal_texts(40)
    texts = [text for questions, answers in hands for text in (*questions, *answers)]
    assert len(texts) == len(set(texts)) == 40 * 2 * SIDE
    assert hands == deal_texts(40) != deal_texts(40, seed=1)
    with pytest.raises(SystemExit, match="1,000,000 were asked for"):
        deal_texts(1_000_000)


def test_the_device_is_what_the_app_says():
    told = "http://127.0.0.1:1/\nsmollm2 on CPU, 2 threads (x86_64), bfloat16: CPU, because there is no other on it.\n"
    assert read_device(told) == ("CPU, 2 threads (x86_64)", "bfloat16")
    assert read_device("") == ("unknown", "unknown")


def test_the_form_is_read_from_the_page_s_widgets():
    from demo.ui.live.form import FORM_FIELDS

    components = [{"props": {"elem_id": name, "value": name.upper()}} for name in FORM_FIELDS]
    form = read_form({"components": [*components, {"props": {}}]})
    assert form == {name: name.upper() for name in FORM_FIELDS}


def test_one_request_is_under_way_and_the_last_text_is_answered():
    page = Page(state="loading")

    async def edit_five_times(person: Person) -> None:
        """The first is sent at once; the others come while it is under way."""
        page.open.clear()
        await person.edit(0)
        sent = len(page.requests)
        while len(page.requests) == sent:
            await asyncio.sleep(0)
        for turn in range(1, 5):
            await person.edit(turn)
        page.open.set()

    person = run_person(page, edit_five_times)
    assert page.most_under_way == 1
    texts = [(request["form"]["questions"], request["form"]["answers"]) for request in page.requests]
    # The page opens while its model loads, the texts come, the first edit, and the last one for those between them.
    assert texts == [("", "")] * 2 + [("q", "a\nb"), ("aq", "a\nb"), ("cbaq", "aa\nab")]
    assert [request.get("link") for request in page.requests] == ["", *[None] * 4]
    assert [request["drawn"] for request in page.requests[1:]] == [False, True, True, True]
    assert page.requests[1]["model"] == "m", "what the server wants to have back"
    assert page.requests[1]["form"]["model"] == "all-minilm-l6-v2"
    assert (person.edits, len(person.waits), person.replaced) == (5, 5, 3)
    assert not person.lost
    assert not person.errors


@pytest.mark.parametrize(("trouble", "said"), [({"state": "error"}, "error: "), ({"code": 503}, "503")])
def test_an_edit_without_an_answer_is_lost_and_said(trouble, said):
    page = Page()

    async def act(person: Person) -> None:
        vars(page).update(trouble)
        await person.edit(0)

    person = run_person(page, act)
    assert not person.waits
    assert person.lost
    assert [said in error for error in person.errors] == [True]


def test_edits_are_made_as_planned():
    turns = []

    async def run() -> float:
        async def edit(turn: int) -> None:
            turns.append(turn)

        start = time.perf_counter()
        return await keep_editing(edit, start, 0.01, start + 0.035)

    assert asyncio.run(run()) >= 0
    assert turns == [0, 1, 2, 3]
