"""The house keeps its walls: who may import whom, how large a file may grow, what nobody may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import ROOT

DEMO = ROOT / "demo"
FILES = sorted(DEMO.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))

HEAVY = {"torch", "transformers", "accelerate", "gguf", "safetensors", "peft"}
SLOW = HEAVY | {"scipy", "sklearn", "mteb"}  # seconds to import: the page is there before them
# The rooms, and what each imports. A folder below demo/ is a room; in ui/ and backend/ every folder and file is.
SPLIT = {"ui", "backend"}
ROOMS = {
    "__init__": "domain lab settings",
    "__main__": "cli",
    "analysis": "domain",
    "backend": "backend/fake backend/local backend/protocol backend/ray backend/remote backend/routing backend/zerogpu"
    " settings",
    "backend/decoder": "backend/model domain",
    "backend/encoder": "backend/decoder backend/model domain",
    "backend/export": "backend/loader backend/weights domain",
    "backend/fake": "backend/protocol domain",
    "backend/loader": "backend/decoder backend/encoder backend/model backend/weights domain",
    "backend/local": "backend/export backend/loader backend/model backend/protocol backend/scheduler"
    " backend/training backend/weights domain settings",
    "backend/model": "domain",
    "backend/model_loading": "backend/protocol domain",
    "backend/protocol": "domain",
    "backend/ray": "backend/protocol backend/scheduler domain jobs settings",
    "backend/remote": "backend/protocol backend/scheduler domain jobs settings",
    "backend/routing": "backend/protocol domain",
    "backend/scheduler": "backend/decoder backend/encoder backend/loader backend/model domain jobs",
    "backend/starting": "backend/protocol domain",
    "backend/training": "backend/loader backend/model backend/protocol backend/scheduler backend/weights domain",
    "backend/weights": "backend/model backend/protocol domain",
    "backend/zerogpu": "backend/loader backend/local backend/model backend/scheduler domain settings",
    "bundled": "files",
    "cli": "analysis domain export files lab settings stages studies",
    "domain": "",
    "export": "domain figures files stages wording",
    "figures": "domain",
    "files": "domain stages",
    "jobs": "domain",
    "lab": "analysis domain export pipeline stages studies",
    "pipeline": "backend backend/model_loading backend/protocol domain files jobs settings stages",
    "serving": "domain jobs lab stages",
    "settings": "domain",
    "stages": "domain",
    "studies": "analysis backend/protocol domain files pipeline stages",
    "ui": "",
    "ui/api": "domain jobs lab serving",
    "ui/gradio": "serving",
    "ui/kit": "domain jobs lab ui/gradio wording",
    "ui/live": "domain export figures jobs lab settings ui/kit",
    "ui/page": "domain lab serving settings ui/api ui/gradio ui/kit ui/live ui/panels ui/tabs",
    "ui/panels": "domain export figures lab serving ui/gradio ui/kit ui/live",
    "ui/tabs": "analysis domain figures files jobs lab settings stages studies ui/gradio ui/kit ui/live ui/panels",
    "wording": "domain figures",
}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(file: Path) -> set[str]:
    """Full names of what a file imports, inside functions too; `from demo import texts` is demo.stages.texts."""
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
    parts = file.relative_to(DEMO).with_suffix("").parts
    deep = parts[0] in SPLIT and len(parts) > 1 and parts[1] != "__init__"
    return "/".join(parts[: 1 + deep])


def room_of_module(name: str) -> str:
    """The room of `demo.x.y` or of a name inside that module."""
    path = DEMO.joinpath(*name.split(".")[1:])
    while path != DEMO and not path.is_dir() and not path.with_suffix(".py").exists():
        path = path.parent
    return room(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def top(file: Path) -> str:
    """The folder below demo/."""
    return room(file).split("/")[0]


def packages(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(file)}


@EVERY_FILE
def test_models_are_touched_in_the_backend_only(file):
    if top(file) != "backend":
        heavy = HEAVY - {"safetensors"} if file == DEMO / "export" / "tensors.py" else HEAVY  # its NumPy half alone
        assert not packages(file) & heavy


@EVERY_FILE
def test_the_page_is_built_in_ui_only(file):
    if top(file) != "ui":
        assert not packages(file) & {"gradio", "gradio_client"}
    if top(file) != "cli":
        assert not packages(file) & {"typer", "rich"}


@pytest.mark.parametrize("name", ["datamodels", "errors"])
def test_what_everyone_knows_knows_only_the_standard_library_and_numpy(name):
    assert packages(DEMO / "domain" / f"{name}.py") <= set(sys.stdlib_module_names) | {"numpy"}


def test_rooms_import_exactly_what_the_picture_shows():
    arrows = {name: set() for name in ROOMS}
    for file in FILES:
        known = {room_of_module(name) for name in imports(file) if name.startswith("demo.")}
        assert room(file) in ROOMS, f"{room(file)} is a new room: draw it in ROOMS"
        arrows[room(file)] |= known - {room(file)}
    assert arrows == {name: set(known.split()) for name, known in ROOMS.items()}


def test_no_arrow_of_the_picture_leads_in_a_circle():
    def below(name, path=()):
        assert name not in path, f"circle: {(*path, name)}"
        for other in ROOMS[name].split():
            below(other, (*path, name))

    for name in ROOMS:
        below(name)


def light_modules() -> list[str]:
    """Everything outside the backend that exists, and the backend's own doors."""
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES if top(file) != "backend"}
    names = {name.removesuffix(".__init__") for name in names}
    doors = ("", ".protocol", ".fake", ".model.st_config", ".starting", ".remote.engine", ".routing")
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
def test_no_file_outgrows_410_lines(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 410


def test_no_folder_outgrows_14_files_of_code():
    code = [file for file in DEMO.rglob("*") if file.suffix in {".py", ".js"} and file.name != "__init__.py"]
    crowded = {str(folder): n for folder, n in Counter(file.parent for file in code).items() if n > 14}
    assert crowded == {}


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
