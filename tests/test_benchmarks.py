"""The benchmarks' own arithmetic, and their person without a browser, against a page that is not there. No load."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: no benchmarks in a browser")

from tests.benchmarks.people import SIDE, deal_texts, keep_editing, read_device, spread
from tests.benchmarks.simulated import AlwaysLast, Person, read_config, said

STATE, HEATMAP, QUESTIONS, ANSWERS, STATUS, LINK = range(1, 7)
UNCHANGED = {"__type__": "update"}


def listener(fn: int, targets: list, inputs: list[int], outputs: list[int], **more) -> dict:
    return {"id": fn, "targets": targets, "inputs": inputs, "outputs": outputs, "backend_fn": True, **more}


def make_config(queue: bool) -> dict:
    """As the page's /config, but for what nobody reads here."""
    names = {STATE: None, HEATMAP: "heatmap", QUESTIONS: "questions", ANSWERS: "answers", STATUS: "status", LINK: None}
    edits = [[0, "load"], [QUESTIONS, "change"], [ANSWERS, "change"]]
    asked = [STATE, QUESTIONS, ANSWERS, LINK]
    return {
        "components": [{"id": id, "props": {"elem_id": name, "value": None}} for id, name in names.items()],
        "dependencies": [
            listener(4, edits, asked, [], queue=False, backend_fn=False),  # the front end's alone
            listener(5, [[QUESTIONS, "input"]], asked, [HEATMAP], queue=True),
            listener(6, edits, asked, [HEATMAP], queue=queue),
            listener(7, [[HEATMAP, "settle"]], [STATE], [STATUS, ANSWERS], queue=True),
        ],
    }


class Page:
    """A server with one session. While `open` is not set, its computing function does not answer."""

    def __init__(self, queue: bool = False, state: str = "ready", code: int = 200):
        self.config = make_config(queue)
        self.state, self.code = state, code
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[list] = []  # what the computing function was asked with
        self.settled = self.under_way = self.most_under_way = 0
        self._joined: dict = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/gradio_api/")
        if path.startswith("heartbeat/"):
            return httpx.Response(200, text="data: ALIVE\n\n")
        if path == "queue/join":
            self._joined = json.loads(request.content)
            return httpx.Response(200, json={"event_id": "1"})
        body = self._joined if path == "queue/data" else json.loads(request.content)
        data = await (self._compute(body["data"]) if body["fn_index"] == 6 else self._settle())
        if path == "run/predict":
            return httpx.Response(self.code, json={"data": data})
        done = {"msg": "process_completed", "success": self.code == 200, "output": {"data": data, "error": "no"}}
        messages = ({"msg": "estimation"}, {"msg": "process_starts"}, done, {"msg": "close_stream"})
        return httpx.Response(200, text="".join(f"data: {json.dumps(message)}\n\n" for message in messages))

    async def _compute(self, data: list) -> list:
        self.asked.append(data)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.open.wait()
        self.under_way -= 1
        texts = {"questions": data[1].split("\n"), "answers": data[2].split("\n")} if data[1] else {}
        news = 0 if data[3].endswith("settled=3") else 3
        return [{"seq": len(self.asked), "state": self.state, "settle": news, **texts}]

    async def _settle(self) -> list:
        self.settled += 1
        return [{**UNCHANGED, "value": "told"}, UNCHANGED]


def run_person(page: Page, act) -> Person:
    """Opens the page with one question and two answers; then act(person)."""

    async def run() -> Person:
        transport = httpx.MockTransport(page)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            person = Person(client, read_config(page.config), ["q"], ["a", "b"])
            await person.open()
            await act(person)
            await person.rest()
            person.close()
        return person

    return asyncio.run(run())


async def edit_five_times(person: Person, page: Page) -> None:
    """The first is asked at once; the others come while it is under way."""
    page.open.clear()
    await person.edit(0)
    asked = len(page.asked)
    while len(page.asked) == asked:
        await asyncio.sleep(0)
    for turn in range(1, 5):
        await person.edit(turn)
    page.open.set()


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


def test_the_config_tells_which_function_computes_and_what_follows_an_answer():
    page = read_config(make_config(queue=False))
    assert (page.computing.fn, page.computing.queued) == (6, False)
    assert page.settling.fn == 7
    assert page.ids["questions"] == QUESTIONS
    config = make_config(queue=True)
    assert read_config(config).computing.queued
    del config["dependencies"][2]
    with pytest.raises(LookupError):
        read_config(config)


def test_what_an_answer_does_not_say_stays():
    assert said(UNCHANGED) is None
    assert said({"props": UNCHANGED, **UNCHANGED}) is None
    assert said({**UNCHANGED, "value": "new", "visible": True}) == "new"
    assert said({"seq": 1}) == {"seq": 1}


def test_of_what_is_wished_meanwhile_one_is_asked():
    asked = []

    async def run() -> None:
        async def ask() -> None:
            asked.append(len(asked))
            for _ in range(3 if len(asked) == 1 else 0):
                last.wish()

        last = AlwaysLast(ask)
        last.wish()
        await last.rest()

    asyncio.run(run())
    assert asked == [0, 1]


@pytest.mark.parametrize("queue", [False, True], ids=["direct", "queue"])
def test_a_person_has_one_question_under_way_and_the_last_text_answered(queue):
    page = Page(queue)
    person = run_person(page, lambda person: edit_five_times(person, page))
    assert page.most_under_way == 1
    # The page opens, the texts come, the first edit, and the last one for those between them.
    assert [data[3] for data in page.asked] == ["", *(f"seq={seq}&settled=3" for seq in (1, 2, 3))]
    assert [data[1:3] for data in page.asked[1:]] == [["q", "a\nb"], ["aq", "a\nb"], ["cbaq", "aa\nab"]]
    assert (person.edits, len(person.waits), person.replaced) == (5, 5, 3)
    assert not person.lost
    assert not person.errors
    assert page.settled == 1, "the widgets' news come once"


@pytest.mark.parametrize(("trouble", "said"), [({"state": "error"}, "error: "), ({"code": 503}, "503")])
@pytest.mark.parametrize("queue", [False, True], ids=["direct", "queue"])
def test_an_edit_without_an_answer_is_lost_and_said(queue, trouble, said):
    page = Page(queue)

    async def act(person: Person) -> None:
        vars(page).update(trouble)
        await person.edit(0)

    person = run_person(page, act)
    assert not person.waits
    assert person.lost == ("code" in trouble)  # a heatmap of the very texts may still be an error
    assert len(person.errors) == 1
    assert (said if not queue or "state" in trouble else "no") in next(iter(person.errors))


def test_edits_are_made_as_planned():
    turns = []

    async def run() -> float:
        async def edit(turn: int) -> None:
            turns.append(turn)

        start = time.perf_counter()
        return await keep_editing(edit, start, 0.01, start + 0.035)

    assert asyncio.run(run()) >= 0
    assert turns == [0, 1, 2, 3]
