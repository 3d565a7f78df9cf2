"""The house keeps its walls: who may import whom, how large a file may grow, what nobody may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demo"
FILES = sorted(DEMO.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))

HEAVY = {"torch", "transformers", "accelerate", "gguf", "safetensors", "peft"}
SLOW = HEAVY | {"scipy", "sklearn", "mteb"}  # seconds to import: the page is there before them
# A picture of the house: each room, and the rooms it may know. Data flows one way, rooms never know their neighbours.
ARROWS = {
    "datamodels": set(),
    "errors": set(),
    "results": {"datamodels"},
    "training": {"datamodels"},
    "pairs": {"errors", "training"},
    "model_card": {"catalog", "datamodels", "training"},
    "turns": set(),
    "jobs": {"datamodels", "errors", "turns"},
    "catalog": {"datamodels"},
    "texts": {"datamodels", "errors"},
    "prompts": {"datamodels", "errors"},
    "postprocess": {"datamodels"},
    "similarity": {"datamodels", "errors"},
    "article": {"catalog", "datamodels", "similarity"},
    "evaluation": {"datamodels", "errors", "results"},
    "rows": {"cells", "errors"},
    "tables": {"datamodels", "errors", "results", "rows", "texts"},
    "sheets": {"datamodels", "errors", "rows", "texts"},
    "seriation": set(),
    "cells": set(),
    "exports": {"backend", "cells", "datamodels", "results"},
    "language": {"errors"},
    "telling": {"datamodels", "figures", "language"},
    "report": {"report", "datamodels", "errors", "figures", "language", "results", "telling"},
    "bundled": {"datamodels", "errors", "results", "training"},
    "projection": {"datamodels", "errors", "results"},
    "explanation": {"datamodels", "errors", "results"},
    "sweep": {"datamodels", "errors", "results"},
    "snippet": {"datamodels", "errors", "prompts"},
    "server_snippet": {"datamodels", "errors", "prompts", "snippet"},
    "figures": {"figures", "datamodels", "errors", "results"},
    "servers": set(),
    "settings": {"catalog", "servers"},
    "backend": {"backend", "catalog", "datamodels", "errors", "results", "servers", "settings", "training", "turns"},
    "readings": {"datamodels", "errors", "texts"},
    "loading": {"backend", "datamodels"},
    "bench": {
        *("backend", "bundled", "catalog", "datamodels", "errors", "loading", "postprocess", "prompts"),
        *("readings", "servers", "settings", "texts", "training", "turns"),
    },
    "studies": {
        *("studies", "bench", "bundled", "catalog", "datamodels", "errors", "evaluation", "jobs", "postprocess"),
        *("backend", "projection", "prompts", "readings", "results", "similarity", "training"),
    },
    "lab": {
        *("bench", "catalog", "datamodels", "errors", "evaluation", "explanation", "projection", "results"),
        *("readings", "server_snippet", "similarity", "snippet", "studies", "texts", "training"),
    },
    "__init__": {"datamodels", "errors", "lab", "settings"},
    "cli": {
        "cli",
        "bundled",
        "cells",
        "datamodels",
        "errors",
        "evaluation",
        "exports",
        "lab",
        "report",
        "results",
        "settings",
        "studies",
        "tables",
        "texts",
        "model_card",
        "pairs",
        "training",
    },
    "__main__": {"cli"},
    "serving": {
        *("serving", "catalog", "datamodels", "errors", "jobs", "lab", "readings", "settings", "texts", "turns"),
    },
    "ui": {
        *("ui", "bundled", "catalog", "datamodels", "errors", "figures", "jobs", "lab", "projection", "results"),
        *("article", "exports", "pairs", "seriation", "settings", "sheets", "snippet", "studies", "tables", "training"),
        *("cells", "language", "report", "serving", "telling", "turns"),
    },
}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(file: Path) -> set[str]:
    """Full names of what a file imports, inside functions too; `from demo import texts` is demo.texts."""
    package = ".".join(file.relative_to(ROOT).with_suffix("").parts[:-1])
    names = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def room(file: Path) -> str:
    return file.relative_to(DEMO).parts[0].removesuffix(".py")


def packages(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(file)}


@EVERY_FILE
def test_models_are_touched_in_the_backend_only(file):
    if room(file) != "backend":
        assert not packages(file) & HEAVY


@EVERY_FILE
def test_the_page_is_built_in_ui_only(file):
    if room(file) != "ui":
        assert not packages(file) & {"gradio", "gradio_client"}
    if room(file) != "cli":
        assert not packages(file) & {"typer", "rich"}


@pytest.mark.parametrize("name", ["datamodels", "errors"])
def test_what_everyone_knows_knows_only_the_standard_library_and_numpy(name):
    assert packages(DEMO / f"{name}.py") <= set(sys.stdlib_module_names) | {"numpy"}


@EVERY_FILE
def test_a_room_knows_only_the_rooms_that_the_picture_allows(file):
    known = {name.split(".")[1] for name in imports(file) if name.startswith("demo.")}
    known = {name if (DEMO / name).is_dir() or (DEMO / f"{name}.py").exists() else "__init__" for name in known}
    assert room(file) in ARROWS, "a new room: draw it in ARROWS"
    assert known <= ARROWS[room(file)], f"{room(file)} may know {sorted(ARROWS[room(file)])}"


def test_no_arrow_of_the_picture_leads_in_a_circle():
    def below(name, path=()):
        assert name not in path, f"circle: {(*path, name)}"
        for other in ARROWS[name] - {name}:
            below(other, (*path, name))

    for name in ARROWS:
        below(name)


def light_modules() -> list[str]:
    """Everything outside the backend that exists, and the backend's own doors."""
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES if room(file) != "backend"}
    names = {name.removesuffix(".__init__") for name in names}
    doors = ("", ".protocol", ".fake", ".own_reading", ".starting", ".remote", ".routing")
    return sorted(names | {f"demo.backend{door}" for door in doors})


def test_neither_the_api_nor_the_page_loads_torch():
    """`import demo` first and alone; then every module outside the backend."""
    light = light_modules()
    code = (
        "import sys, importlib\n"
        "import demo\n"
        f"assert not set(sys.modules) & {HEAVY | {'gradio', 'typer'}}, 'import demo'\n"
        f"for name in {[name for name in light if not name.startswith('demo.ui')]}:\n"
        "    importlib.import_module(name)\n"
        f"    assert not set(sys.modules) & {HEAVY | {'gradio'}}, name\n"
        f"for name in {[name for name in light if name.startswith('demo.ui')]}:\n"
        "    importlib.import_module(name)\n"
        f"    assert not set(sys.modules) & {SLOW}, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@EVERY_FILE
def test_no_file_outgrows_400_lines(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


@EVERY_FILE
def test_a_file_opens_with_what_it_does(file):
    assert ast.get_docstring(tree(file))


@EVERY_FILE
def test_a_file_is_named_for_what_it_does(file):
    assert file.stem not in {"utils", "util", "common", "helpers", "helper", "manager", "misc", "types"}


@EVERY_FILE
def test_no_code_of_a_checkpoint_is_ever_run(file):
    """No trust_remote_code=True, no pickle, no torch.load, no eval: weights are data."""
    assert not packages(file) & {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False, f"line {node.value.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("torch.load", "eval", "exec"), f"line {node.lineno}"


@EVERY_FILE
def test_no_star_import(file):
    assert not any(name.endswith(".*") for name in imports(file))


@EVERY_FILE
def test_settings_are_the_only_reader_of_the_environment(file):
    if room(file) == "settings":
        return
    reads = [
        f"{file.name}:{node.lineno}"
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("os.getenv", "os.environ.get")
        and node.args
        and ast.unparse(node.args[0]).strip("'\"").startswith(("DEMO_", "GRADIO_", "SPACE"))
    ]
    assert reads == []
