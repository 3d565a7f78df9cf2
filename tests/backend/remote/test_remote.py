"""Models that run elsewhere: asked over HTTP, each way in which a server may fail in words, and nobody kept waiting."""

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from demo.backend.fake import FakeEngine
from demo.backend.remote.engine import RemoteEngine
from demo.backend.routing import RoutingEngine
from demo.domain.errors import (
    DemoError,
    ModelLoading,
    ModelNotAllowed,
    ReadingRefused,
    ServerFailed,
    ServerUnavailable,
    Stopped,
)
from demo.domain.server_address import RemoteServer
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.settings import Settings, parse_settings
from tests import embedding_server as bad
from tests.embedding_server import DIM, EmbeddingServer, vector_of
from tests.waiting import eventually

TEXTS = ["What is GPU?", "A graphics processor.", "A city."]
KEY = "sk-secret-0123456789"
pytest.importorskip("openai")


@pytest.fixture
def server():
    server = EmbeddingServer()
    yield server
    server.stop()


@pytest.fixture
def quick(monkeypatch):
    """No second try: the client waits half a second before one."""
    monkeypatch.setattr("demo.backend.remote.client._RETRIES", 0)


def make_lab(*servers: str, **settings) -> Lab:
    settings = Settings(remote=servers, engine="fake", **settings)
    return Lab(settings, RoutingEngine(FakeEngine(), RemoteEngine(settings)))


@pytest.fixture
def lab(server, quick):
    return make_lab(f"far={server.url}", remote_seconds=1)


def failure(lab, texts=TEXTS, **reading) -> DemoError:
    with pytest.raises((ServerFailed, ServerUnavailable)) as told:
        lab.embed(texts, model="remote:far", **reading)
    return told.value


# ---- what is asked and answered --------------------------------------------------------------------------------------


def test_a_server_is_a_model_beside_the_others(lab, server):
    status = lab.status("remote:far")
    assert (status.name, status.kind.value, status.host, status.state) == ("far", "remote", server.host, "available")
    answer = lab.compare(TEXTS[:1], TEXTS[1:], model="remote:far")
    wanted = np.array([vector_of(text) for text in TEXTS])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(answer.similarity, wanted[:1] @ wanted[1:].T, atol=1e-6)
    assert answer.reading.label() == "remote:far · plain · as_served"
    assert answer.provenance["host"] == answer.provenance["source"] == server.host
    assert answer.provenance["revision"] == "letters"  # the only one that it serves
    assert server.host in answer.notices[0]
    assert "change there" in answer.notices[0]
    assert lab.engine.loaded("remote:far").dim == DIM
    local = lab.compare(TEXTS[:1], TEXTS[1:])
    assert "host" not in local.provenance
    assert not local.notices


def test_the_first_question_holds_nobodys_text_and_a_text_is_sent_once(lab, server):
    lab.open("remote:far")
    assert len(server.asked) == 1
    assert not set(server.asked[0]) & set(TEXTS)
    for _ in range(2):
        lab.embed([*TEXTS, TEXTS[0]], model="remote:far")
    assert sorted(sum(server.asked[1:], [])) == sorted(TEXTS)
    counts = lab.engine.counts()
    assert (counts.texts, counts.cache_hits, counts.waiting, counts.models) == (3, 3, 0, 0)
    reading = lab.reading("remote:far")
    assert lab.engine.count_cached(lab.prompted(TEXTS, reading, "answer"), reading) == 3


@pytest.mark.parametrize("answer", [bad.answer_in_base64, bad.answer_backwards])
def test_every_way_to_answer_rightly(lab, server, answer):
    server.misbehave = answer
    np.testing.assert_array_equal(lab.embed(TEXTS, model="remote:far"), [vector_of(text) for text in TEXTS])


def test_requests_are_small_and_every_text_comes_back_in_its_place(lab, server):
    texts = [f"text {number}" for number in range(70)] + ["long " * 3000] * 2
    vectors = lab.embed(texts, model="remote:far")
    np.testing.assert_array_equal(vectors, [vector_of(text.strip()) for text in texts])
    assert max(map(len, server.asked)) == 32
    assert max(sum(map(len, request)) for request in server.asked) <= 64_000


def test_prompts_that_are_words_are_written_here(lab, server):
    lab.embed(["A city."], model="remote:far", prompt="prompteol")
    assert server.asked[-1] == ['This sentence : "A city." means in one word:"']
    lab.compare(["Which?"], ["A city."], model="remote:far", prompt="e5_instruct", task="Find")
    assert sorted(server.asked[-1]) == ["A city.", "Instruct: Find\nQuery: Which?"], "one request for both"
    assert not np.allclose(
        lab.embed(TEXTS, model="remote:far"), lab.embed(TEXTS, model="remote:far", postprocess="center")
    )


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"pooling": "mean"}, "pooling"),
        ({"prompt": "chat"}, "prompt"),
        ({"prompt": "echo"}, "prompt"),
        ({"prompt": "token_prepending"}, "prompt"),
        ({"prompt": "own"}, "prompt"),
        ({"eos": True}, "eos"),
    ],
)
def test_what_a_server_cannot_be_asked_is_refused_before_anything_is_sent(lab, server, choice, field):
    lab.open("remote:far")
    with pytest.raises(ReadingRefused, match="runs elsewhere") as refused:
        lab.embed(TEXTS, model="remote:far", **choice)
    assert refused.value.field == field
    accepted = {field: refused.value.instead} if refused.value.instead else {}
    lab.reading("remote:far", **accepted)
    assert len(server.asked) == 1


def test_what_needs_more_than_vectors_is_refused_in_words(lab, tmp_path):
    for act in (
        lambda: lab.explain(TEXTS[:1], TEXTS[1:], 0, 0, model="remote:far"),
        lambda: lab.export(tmp_path / "folder", model="remote:far"),
        lambda: lab.engine.count_tokens([], "remote:far"),
        lambda: lab.engine.logits_of("remote:far", np.zeros((1, DIM)), -1),
    ):
        with pytest.raises(ReadingRefused, match="it runs elsewhere"):
            act()


def test_a_sweep_and_a_benchmark_take_a_server_too(lab):
    questions, answers = ["one", "two", "three"], ["one!", "two!", "three!"]
    found = lab.sweep(questions, answers, model="remote:far", prompts=["plain", "prompteol", "echo"])
    assert [prompt.value for prompt in found.prompts] == ["plain", "prompteol"]
    assert found.metrics["auc"].shape == (2, 1, len(found.postprocess), 1)
    assert found.best.pooling.value == "as_served"
    large = lab.compare_large(lab.embed_pairing(questions, answers).pairing, model="remote:far")
    assert large.similarity.shape == (3, 3)


def test_a_name_that_no_host_gave_goes_nowhere(lab):
    for model in ("remote:other", "remote:http://127.0.0.1:1/v1"):
        with pytest.raises(ModelNotAllowed):
            lab.embed(TEXTS, model=model)


def test_a_public_lab_offers_its_servers_and_no_others(server, quick):
    lab = make_lab(f"far={server.url}", public=True)
    assert lab.embed(TEXTS, model="remote:far").shape == (3, DIM)
    for model in ("remote:other", server.url):
        with pytest.raises(ModelNotAllowed):
            lab.embed(TEXTS, model=model)


@pytest.mark.parametrize(
    "reading",
    [
        {},
        {"prompt": "prompteol", "postprocess": "center"},
        {"prompt": "e5_instruct", "task": 'Find "it" {text}'},
        {"prompt": "custom", "template": "{text}\\n''', {text}", "postprocess": "zscore", "reference": "corpus"},
    ],
)
def test_the_script_to_take_home_asks_the_same_server(lab, server, reading, monkeypatch, capsys):
    monkeypatch.setenv("DEMO_REMOTE_KEY_FAR", KEY)
    texts = ["Where?", ' What is a\x0c"GPU"?\r\n'], ["There.", "\tA processor."]
    script = lab.code(model="remote:far", texts=texts, **reading)
    assert KEY not in script
    made: dict = {}
    exec(compile(script, "script", "exec"), made)
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert "They agree: " in capsys.readouterr().out
    np.testing.assert_allclose(
        made["cosines"], lab.compare(*texts, model="remote:far", **reading).similarity, atol=1e-5
    )


# ---- how it may go wrong ---------------------------------------------------------------------------------------------


def refuse(told, status=400):
    """A way to misbehave: a refusal in the server's own words."""
    return lambda handler, texts: handler.say(told, status)


FAULTS = {
    "html": (bad.answer_bytes(b"<html>welcome</html>", Content_Type="text/html"), "is not JSON"),
    "half of it": (bad.answer_bytes(b'{"data": ['), "is not JSON"),
    "deep": (bad.answer_bytes(b"[" * 200_000), "is not JSON"),
    "an error, politely": (bad.answer_bytes(b'{"error": "none"}'), "holds no vectors"),
    "a list": (bad.answer_bytes(b"[1]"), "holds no vectors"),
    "words": (bad.answer_vectors(lambda texts: [["a"]] * len(texts)), "holds no vectors"),
    "no base64": (bad.answer_vectors(lambda texts: ["!"] * len(texts)), "holds no vectors"),
    "nothing in it": (bad.answer_vectors(lambda texts: [[]] * len(texts)), "holds no vectors"),
    "too few": (bad.answer_vectors(lambda texts: [[1.0] * DIM]), "1 vectors for 3 texts"),
    "too many": (bad.answer_vectors(lambda texts: [[1.0] * DIM] * 4), "4 vectors for 3 texts"),
    "tokens": (bad.answer_vectors(lambda texts: [[[1.0] * DIM] * 5] * len(texts)), "a vector for every token"),
    "another length": (bad.answer_vectors(lambda texts: [[1.0] * 5] * len(texts)), "have 5 numbers, and had 8"),
    "ragged": (bad.answer_vectors(lambda texts: [[1.0] * (5 + i) for i in range(len(texts))]), "not of one length"),
    "nan": (bad.answer_vectors(lambda texts: [[float("nan")] * DIM] * len(texts)), "not finite"),
    "null": (bad.answer_vectors(lambda texts: [[None] * DIM] * len(texts)), "not finite"),
    "huge numbers": (bad.answer_vectors(lambda texts: [[1e300] * DIM] * len(texts)), "not finite"),
    "packed": (bad.answer_packed, "packed"),
    "dropped": (bad.drop_the_connection, "broke off"),
    "slow drops": (bad.answer_letter_by_letter, "no answer within 1 seconds"),
    "bad request": (bad.answer_status(400), r"does not accept this request \(HTTP 400\): “Incorrect"),
    "too large": (refuse(b"", 413), r"\(HTTP 413\); one of them may be too long for its model"),
    "OpenAI's words": (
        refuse({"error": {"message": "input_type is required", "code": 1}}),
        ": “input_type is required”",
    ),
    "FastAPI's words": (
        refuse({"detail": [{"loc": ["body"], "msg": "float is\n not supported"}]}, 422),
        "“float is not",
    ),
    "plain words": (refuse(b"At most 10 texts."), r"\(HTTP 400\): “At most 10 texts."),
    "endless words": (refuse({"message": "<b>" + "x" * 5000}), "“<b>x{196}…”"),
    "a page": (refuse(b"<html>no</html>"), "too long for its model"),
    "no key": (bad.answer_status(401), r"refuses the key \(HTTP 401\); .* DEMO_REMOTE_KEY_FAR"),
    "wrong key": (bad.answer_status(403), r"refuses the key \(HTTP 403\)"),
    "not there": (bad.answer_status(404), "no such address or model"),
    "limits": (bad.answer_status(429, Retry_After="30"), "asks to wait 30 seconds"),
    "broken": (bad.answer_status(500), r"an error \(HTTP 500\)"),
    "overloaded": (bad.answer_status(503), r"an error \(HTTP 503\)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told_in_words_and_passes(lab, server, name):
    answer, words = FAULTS[name]
    lab.open("remote:far")
    server.misbehave = answer
    error = failure(lab)
    assert str(error).startswith(f"far, on {server.host}: ")
    assert error.field is None
    with pytest.raises(ServerFailed, match=words):
        raise error
    model = lab.engine.elsewhere._models["remote:far"]
    eventually(lambda: not model.scheduler._queue.pending)  # what was on its way when the first text failed
    server.misbehave = None
    model._retry_at = 0.0
    assert lab.embed(TEXTS, model="remote:far").shape == (3, DIM)


def test_a_server_that_cannot_be_had_at_all_says_so_beside_the_model(server, quick):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"  # nobody listens there
        error = failure(make_lab(f"far={closed}"))
    assert "cannot be reached" in str(error)
    assert error.field == "model"
    server.models = ["a", "b"]
    assert "several models (a, b)" in str(failure(make_lab(f"far={server.url}")))
    assert make_lab(f"far={server.url}#b").embed(TEXTS, model="remote:far").shape == (3, DIM)


def test_an_answer_without_an_end_is_not_read(lab, server, monkeypatch):
    monkeypatch.setattr("demo.backend.remote.client._MOST_BYTES", 10_000)
    lab.open("remote:far")
    server.misbehave = bad.answer_bytes(b" " * 100_000)
    assert "longer than" in str(failure(lab))


def test_nobody_is_sent_elsewhere(lab, server):
    other = EmbeddingServer()
    try:
        lab.open("remote:far")
        server.misbehave = bad.answer_status(307, Location=f"{other.url}/embeddings")
        assert "another address (HTTP 307)" in str(failure(lab))
        assert other.asked == []
    finally:
        other.stop()


@pytest.mark.parametrize(("status", "most"), [(400, 10), (413, 3), (422, 1)])
def test_a_server_that_takes_few_texts_is_asked_in_halves_and_it_is_remembered(lab, server, status, most):
    """Not one by one: 2,000 texts were 2,000 requests."""
    too_many = refuse({"error": {"message": f"at most {most} texts"}}, status)
    server.misbehave = lambda handler, texts: (too_many if len(texts) > most else bad.answer_well)(handler, texts)
    texts = [f"text {i}" for i in range(192)]
    vectors = lab.embed(texts[:32], model="remote:far")
    taken = 1 if most == 1 else 2 if most == 3 else 8
    assert max(len(asked) for asked in server.asked if len(asked) <= most) == taken
    before = len(server.asked)
    vectors = np.concatenate([vectors, lab.embed(texts[32:], model="remote:far")])
    assert len(server.asked) - before == 160 // taken, "no request was refused any more"
    np.testing.assert_array_equal(vectors, [bad.vector_of(text) for text in texts])


def test_a_limit_in_tokens_halves_and_one_long_text_shrinks_nothing(lab, server):
    def take(handler, texts):
        return (refuse({"message": "too many tokens"}, 413) if sum(map(len, texts)) > 400 else bad.answer_well)(
            handler, texts
        )

    server.misbehave = take
    texts = ["letters " * 12 + str(i) for i in range(16)]  # four of them are accepted together
    np.testing.assert_array_equal(lab.embed(texts, "remote:far"), [bad.vector_of(text) for text in texts])
    lab.engine.elsewhere._models["remote:far"]._most_texts = 32
    short = [f"short {i}" for i in range(20)]
    with pytest.raises(ServerFailed, match="too many tokens"):
        lab.embed([*short, "long " * 100], "remote:far")
    server.asked.clear()
    lab.embed([f"other {i}" for i in range(20)], "remote:far")
    assert len(server.asked) == 1, "the long text was at fault, not their number"


def test_further_fields_go_with_every_request_and_into_the_script(server, quick, monkeypatch):
    lab = make_lab(f"far={server.url}#letters?input_type=query&encoding_format=base64&dimensions=8&user=a%20b%2Cc")
    server.misbehave = bad.answer_in_base64
    expected = {
        "model": "letters",
        "encoding_format": "base64",
        "input_type": "query",
        "dimensions": 8,
        "user": "a b,c",
    }
    cosines = lab.compare(["What is GPU?"], ["A processor."], "remote:far")
    assert all(fields == expected for fields in server.fields)
    assert 'input_type="query"' in " ".join(cosines.notices)
    server.fields.clear()
    script = lab.code(model="remote:far", texts=(("What is GPU?",), ("A processor.",)))
    made: dict = {}
    exec(compile(script, "script", "exec"), made)
    assert server.fields == [expected]
    np.testing.assert_allclose(made["unit"][:1] @ made["unit"][1:].T, cosines.similarity, atol=1e-6)


def test_a_servers_words_show_no_key_and_stay_out_of_the_log(server, quick, monkeypatch, caplog):
    monkeypatch.setenv("DEMO_REMOTE_KEY_FAR", KEY)
    lab = make_lab(f"far={server.url}")
    lab.open("remote:far")
    server.misbehave = refuse({"error": {"message": f"{KEY} may not send “{TEXTS[0]}”"}})
    error = failure(lab)
    assert TEXTS[0] in str(error)
    assert KEY not in str(error) + caplog.text
    assert TEXTS[0] not in caplog.text
    assert "HTTP 400" in caplog.text


def test_one_text_that_a_server_does_not_take_is_told_of_to_its_owner_alone(lab, server):
    lab.open("remote:far")
    server.open.clear()

    def refuse_long_ones(handler, texts):
        if any(len(text) > 100 for text in texts):
            return bad.answer_status(400)(handler, texts)
        return handler.say(bad.well_said(texts))

    server.misbehave = refuse_long_ones
    with ThreadPoolExecutor(3) as people:
        first = people.submit(lab.embed, ["first"], "remote:far")
        eventually(lambda: len(server.asked) >= 2)
        others = [people.submit(lab.embed, [text], "remote:far") for text in ("short", "long " * 50)]
        eventually(lambda: lab.engine.elsewhere._models["remote:far"].scheduler._queue.pending.__len__() == 3)
        server.open.set()
        assert first.result().shape == others[0].result().shape == (1, DIM)
        with pytest.raises(ServerFailed, match="HTTP 400"):
            others[1].result()
    assert len(server.asked[2]) == 2  # they went together


def test_the_client_tries_again_and_what_failed_for_good_is_left_alone_for_a_while(server, monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    lab = make_lab(f"far={server.url}", remote_seconds=1)
    lab.open("remote:far")
    left = [bad.answer_status(500), bad.drop_the_connection]
    server.misbehave = lambda handler, texts: left.pop()(handler, texts) if left else handler.say(bad.well_said(texts))
    assert lab.embed(TEXTS, model="remote:far").shape == (3, DIM)
    assert len(server.asked) == 4
    server.misbehave = bad.answer_status(500)
    for _ in range(3):
        assert "HTTP 500" in str(failure(lab, ["another"]))
    assert len(server.asked) == 7  # three tries, once


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_goes_into_one_header_and_nowhere_else(server, quick, monkeypatch, caplog):
    monkeypatch.setenv("DEMO_REMOTE_KEY_FAR", KEY)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: of-somebody-else\nX-Own: of-somebody-else")
    caplog.set_level(logging.DEBUG, "demo")
    lab, bare = make_lab(f"far={server.url}"), make_lab(f"near={server.url}")
    lab.embed(TEXTS, model="remote:far")
    bare.embed(TEXTS, model="remote:near")
    assert [headers.get("authorization") for headers in server.headers] == [f"Bearer {KEY}"] * 2 + [None] * 2
    assert not any("somebody" in value for headers in server.headers for value in headers.values())
    assert KEY not in lab.code(model="remote:far")
    server.misbehave = bad.answer_status(401)  # it repeats the key
    error = failure(lab, ["another"])
    assert (error.__cause__, error.__suppress_context__) == (None, True)
    answer = lab.compare(TEXTS[:1], TEXTS[1:], model="remote:far")
    shown = f"{error!r} {error} {error.values} {lab.settings!r} {answer.to_dict()} {lab.models()} {caplog.text}"
    assert KEY not in shown


def test_a_key_that_no_header_can_hold_is_told_of(server, quick, monkeypatch):
    monkeypatch.setenv("DEMO_REMOTE_KEY_FAR", "schlüssel")
    error = failure(make_lab(f"far={server.url}"))
    assert "DEMO_REMOTE_KEY_FAR" in str(error)
    assert "schl" not in str(error)


def test_servers_are_named_by_flags_or_by_the_environment(monkeypatch, capsys):
    named = parse_settings(["--remote", "a=http://x:1/v1/#org/m", "--remote=b-2=https://y/v1"]).servers
    assert named == (RemoteServer("a", "http://x:1/v1", "org/m"), RemoteServer("b-2", "https://y/v1"))
    assert (named[0].id, named[0].host, named[1].key_variable) == ("remote:a", "x:1", "DEMO_REMOTE_KEY_B_2")
    monkeypatch.setenv("DEMO_REMOTE", " a=http://x/v1#m  b=http://y/v1 ")
    assert [server.name for server in parse_settings([]).servers] == ["a", "b"]
    assert RemoteServer.parse("a=http://x/v1#m?n=1&truncate=END&on=true").fields == (
        ("n", 1),
        ("truncate", "END"),
        ("on", True),
    )
    for wrong in ("a=http://x/v1#m?input=secret", "a=http://x/v1#m?encoding_format=secret", "a=http://x/v1#m?secret"):
        with pytest.raises(SystemExit):
            parse_settings(["--remote", wrong])
        assert "secret" not in capsys.readouterr().err
    for wrong in ("x", "a=ftp://x", "a=http://u:secret@x/v1", "a=http://x/v1?key=secret", "a=http://x,a=http://y"):
        with pytest.raises(SystemExit):
            parse_settings(["--remote", wrong])
        assert "secret" not in capsys.readouterr().err


# ---- nobody waits for another machine --------------------------------------------------------------------------------


def test_who_cannot_wait_asks_again_and_finds_what_has_arrived(lab, server, monkeypatch):
    monkeypatch.setattr("demo.pipeline._SERVER_SECONDS", 0.05)
    lab.open("remote:far")
    server.open.clear()
    for _ in range(2):
        with pytest.raises(ModelLoading) as told:
            lab.compare(TEXTS[:1], TEXTS[1:], model="remote:far", wait=False)
    assert told.value.values["stage"] == "waiting for its server"
    assert lab.compare(TEXTS[:1], TEXTS[1:], wait=True).similarity.shape == (1, 2)  # a local model's people
    server.open.set()

    def answered():
        try:
            return lab.compare(TEXTS[:1], TEXTS[1:], model="remote:far", wait=False)
        except ModelLoading:
            return None

    eventually(answered)
    assert sorted(sum(server.asked[1:], [])) == sorted(TEXTS)


def test_what_nobody_wants_any_more_is_not_sent(lab, server):
    lab.open("remote:far")
    server.open.clear()
    cancelled = threading.Event()

    def ask(text):
        with request_context(is_cancelled=cancelled.is_set):
            return lab.embed([text], model="remote:far")

    with ThreadPoolExecutor(2) as people:
        people.submit(ask, "first")
        eventually(lambda: len(server.asked) == 2)
        second = people.submit(ask, "second")
        eventually(lambda: len(lab.engine.elsewhere._models["remote:far"].scheduler._queue.pending) == 2)
        cancelled.set()
        server.open.set()
        with pytest.raises(Stopped):
            second.result()
    assert ["second"] not in server.asked


def test_people_who_ask_at_the_same_time_share_requests(lab, server):
    lab.open("remote:far")
    server.open.clear()
    with ThreadPoolExecutor(20) as people:
        asked = [people.submit(lab.embed, [f"text {number}", "shared"], "remote:far") for number in range(20)]
        eventually(lambda: len(lab.engine.elsewhere._models["remote:far"].scheduler._queue.pending) == 21)
        server.open.set()
        assert [each.result().shape for each in asked] == [(2, DIM)] * 20
    assert len(server.asked) <= 3
    assert sum(server.asked, []).count("shared") == 1


def test_without_a_server_nothing_of_the_client_is_imported():
    import subprocess
    import sys

    code = (
        "import sys\nfrom demo.backend.remote.engine import RemoteEngine\nfrom demo.settings import Settings\n"
        "RemoteEngine(Settings(remote=('a=http://x/v1',)))\n"
        "assert not {'openai', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
