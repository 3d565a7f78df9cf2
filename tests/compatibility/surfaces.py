"""Public surfaces of a checkout, read from outside: command line, page, HTTP endpoints, MCP tools and exported files.

    python -m tests.compatibility.surfaces FOLDER     # writes what the checkout in FOLDER answers to stored/

Only command lines, URLs and file formats are used, so one recorder reads every build. Versions, times and speeds are
replaced; long lists are cut.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

STORED = Path(__file__).parent / "stored"
QUESTIONS = ["What is GPU?", "서울은 어디에 있나요?"]
ANSWERS = ["A processor, for pictures.", "=한국에 있어요"]
READING = {"prompt": "prompteol", "pooling": "last_token", "layer": 20, "eos": True, "postprocess": "zscore"}
_TYPED = ["--question", QUESTIONS[0], "--question", QUESTIONS[1], "--answer", ANSWERS[0], "--answer", ANSWERS[1]]
_CHOSEN = ["--prompt", "prompteol", "--pooling", "last_token", "--layer", "20", "--eos", "--postprocess", "zscore"]
_FILES = {
    "pairs.csv": "question,answer\nWhat is a GPU?,A processor.\nWhere is Seoul?,In Korea.\nWho wrote it?,A poet.\n"
    "When?,At noon.\n",
    "graded.tsv": "score\tsentence1\tsentence2\n5\tA man plays.\tA man is playing.\n1\tA dog runs.\tIt rains.\n"
    "3\tTwo cats.\tSome cats.\n2.5\tA red car.\tA car.\n",
    "pairs.jsonl": '{"query": "q1", "positive": "a1", "negative": "n1"}\n{"query": "q2", "positive": "a2"}\n',
}
_COMMANDS = {  # name of the stored answer → arguments; the files above lie in the working folder
    "compare": ["compare", *_TYPED, *_CHOSEN, "--json"],
    "compare-article": ["compare"],
    "compare-csv": ["compare", *_TYPED, "--matches", "1-2, 2-1", "--csv"],
    "compare-report": ["compare", *_TYPED, "--json", "--out", "report.html"],
    "compare-saved": ["compare", *_TYPED, "--json", "--out", "similarity.csv"],
    "embed": ["embed", "--text", QUESTIONS[0], "--role", "question", "--pooling", "mean"],
    "sweep": ["sweep", "pairs.csv", "--prompt", "plain", "--json"],
    "sweep-graded": ["sweep", "graded.tsv", "--prompt", "plain", "--json"],
    "benchmark": ["benchmark", "pairs.csv", "graded.tsv", "--pooling", "mean", "--layer", "last", "--json"],
    "train": ["train", "--pairs", "pairs.csv:0.5", "--pairs", "pairs.jsonl", "--out", "adapter", "--steps", "2"]
    + ["--batch", "2", "--json"],
    "script": ["code", *_CHOSEN],
    "script-library": ["code", "--model", "all-minilm-l6-v2", "--library", "sentence-transformers"],
    "refused": ["compare", "--question", "a", "--answer", "b", "--layer", "99"],
}
_FOR_A_FILE = ("compare-report", "compare-saved", "train", "refused")  # their file says more than their output
_HELP = ("", "compare", "embed", "models", "sweep", "benchmark", "train", "code", "export")
_DRIVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from typer.testing import CliRunner
from demo.__main__ import app
answers = {}
for name, arguments in json.load(sys.stdin).items():
    result = CliRunner().invoke(app, arguments)
    answers[name] = [result.exit_code, result.stdout, result.stderr]
json.dump(answers, sys.stdout)
"""


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEMO_", "FORCE_COLOR"))}
    return {**kept, "DEMO_ENGINE": "fake", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}


def read_command_line(root: Path) -> dict[str, Any]:
    """Answers of the commands and the files that they write, by name."""
    commands = _COMMANDS | {f"help {name}".strip(): [name, "--help"] if name else ["--help"] for name in _HELP}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _FILES.items():
            (Path(folder) / name).write_text(content, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER, str(root)],
            cwd=folder,
            env=_environment(),
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        report = (Path(folder) / "report.html").read_text(encoding="utf-8")
        saved = (Path(folder) / "similarity.csv").read_text(encoding="utf-8")
        training = json.loads((Path(folder) / "adapter" / "training.json").read_text(encoding="utf-8"))
    flags = {name: re.findall(r"--[a-z-]+", answers.pop(name)[1]) for name in list(answers) if name.startswith("help")}
    failed = {name: answer for name, answer in answers.items() if answer[0] and name != "refused"}
    assert not failed, failed
    return {
        **{name: _content(stdout) for name, (_, stdout, _) in answers.items() if name not in _FOR_A_FILE},
        "refused": answers["refused"],
        "flags": {name: sorted(set(found)) for name, found in flags.items()},
        "report": _report(report),
        "similarity.csv": _table(saved),
        "training.json": training,
    }


def read_page(root: Path) -> dict[str, Any]:
    """Answers of a live page: element ids and labels, `/compare`, `/embed`, `/v1`, `/mcp`, names of the metrics."""
    with _serve(root) as http:
        chosen = [None, READING["prompt"], READING["pooling"], READING["layer"]]
        more = [READING["eos"], READING["postprocess"], None, None, None]
        named = f"smollm2-135m-instruct?{'&'.join(f'{key}={str(value).lower()}' for key, value in READING.items())}"
        packed = _post(http, "/v1/embeddings", {"input": QUESTIONS[:1], "encoding_format": "base64"})
        texts = {"questions": QUESTIONS, "answers": ANSWERS}
        return {
            "elements": _elements(http.get("/config").json()),
            "api/compare": _call(http, "compare", [QUESTIONS, ANSWERS, *chosen, "1-2", *more]),
            "api/embed": _call(http, "embed", ["one\ntwo", *chosen, "question", *more]),
            "api/refused": _call(http, "compare", [[], ANSWERS, *chosen, None, *more]),
            "v1/embeddings": _post(http, "/v1/embeddings", {"model": named, "input": QUESTIONS[:1]}),
            "v1/embeddings base64": packed | {"data": [_unpacked(one) for one in packed["data"]]},
            "v1/refused": _post(http, "/v1/embeddings", {"input": ""}),
            "v1/models": http.get("/v1/models").json(),
            "mcp/tools": [
                {**tool, "inputSchema": sorted(tool["inputSchema"]["properties"])}
                for tool in _ask_mcp(http, "tools/list", {})["tools"]
            ],
            "mcp/compare": _use_tool(http, "compare", texts | READING),
            "mcp/embed": _use_tool(http, "embed", {"texts": QUESTIONS[:1], "pooling": "mean"}),
            "mcp/refused": _use_tool(http, "compare", texts | {"pooling": "none"}),
            "mcp/readings": {
                name: [one.get("id", one) if isinstance(one, dict) else one for one in choices]
                for name, choices in _use_tool(http, "describe_readings", {})["structuredContent"].items()
                if isinstance(choices, list)
            },
            "metrics": sorted(set(re.findall(r"^# TYPE (\S+ \S+)", http.get("/metrics").text, flags=re.MULTILINE))),
            "health": http.get("/health").json(),
        }


def normalise(value: Any) -> Any:
    """The same without versions, times and speeds, with floats of six digits, as JSON would give it back."""
    if isinstance(value, dict):
        return {name: normalise(item) for name, item in value.items() if name not in ("texts_per_second", "created")}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str):
        value = re.sub(r"Python [\d.]+(, [\w-]+ [\w.+]+)*", "VERSIONS", value)
        value = re.sub(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", "DATE", value)
        return re.sub(r"(==|>=|~=)[\d.]+\w*", r"\1VERSION", value)
    return value


def _content(stdout: str) -> Any:
    """JSON, cut to the beginning of its readings; else the table or the lines that were printed."""
    try:
        content = json.loads(stdout)
    except ValueError:
        return _table(stdout) if stdout.startswith('"') else stdout.splitlines()
    if isinstance(content, dict) and "readings" in content:
        content |= {"readings": content["readings"][:3], "n_readings": len(content["readings"])}
    return content


def _table(content: str) -> list[list[Any]]:
    return [[_cell(cell) for cell in row] for row in csv.reader(io.StringIO(content))]


def _cell(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def _report(page: str) -> dict[str, Any]:
    """The data inside a report, and its visible text."""
    [told] = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL)
    visible = re.sub(r"<(script|style|meta).*?(</\1>|>)", "", re.sub(r"(?s)<(script|style)\b.*?</\1>", "", page))
    words = re.sub(r"<[^>]+>", " ", visible).split()  # how the source is broken into lines is not visible
    return {"data": json.loads(told), "text": html.unescape(" ".join(words))}


@contextmanager
def _serve(root: Path) -> Iterator[httpx.Client]:
    command = [sys.executable, "app.py", "--engine", "fake", "--port", "0"]
    with subprocess.Popen(
        command, cwd=root, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            url = server.stdout.readline().strip()
            with httpx.Client(base_url=url, timeout=60) as http:
                yield http
        finally:
            server.terminate()


def _elements(config: dict) -> list[str]:
    """`element id · kind · label` of everything on the page that has an id."""
    props = [(one["type"], one["props"]) for one in config["components"]]
    return sorted(
        {f"{its['elem_id']} · {kind} · {its.get('label') or ''}" for kind, its in props if its.get("elem_id")}
    )


def _post(http: httpx.Client, path: str, body: dict) -> Any:
    return http.post(path, json=body).json()


def _call(http: httpx.Client, name: str, data: list) -> Any:
    """An endpoint of the page, called as its documentation says: ask, then read the event stream."""
    event = _post(http, f"/gradio_api/call/{name}", {"data": data})["event_id"]
    stream = http.get(f"/gradio_api/call/{name}/{event}").text
    [answer] = json.loads(re.findall(r"^data: (.*)$", stream, flags=re.MULTILINE)[-1])
    return answer


def _unpacked(one: dict) -> dict:
    data = base64.b64decode(one["embedding"])
    return one | {"embedding": list(struct.unpack(f"<{len(data) // 4}f", data))}


def _ask_mcp(http: httpx.Client, method: str, params: dict) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    answer = http.post("/mcp", json=body, headers=headers).text
    return json.loads(re.findall(r"^(?:data: )?(\{.*)$", answer, flags=re.MULTILINE)[-1])["result"]


def _use_tool(http: httpx.Client, name: str, arguments: dict) -> Any:
    return _ask_mcp(http, "tools/call", {"name": name, "arguments": arguments})


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    for name, read in (("command_line", read_command_line), ("page", read_page)):
        lines = (
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in normalise(read(root)).items()
        )
        (STORED / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
