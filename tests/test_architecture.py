"""Architecture: which rooms import which, how large files and folders may grow, what no file may do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests import ROOT

DEMO = ROOT / "demo"
FILES = sorted(DEMO.rglob("*.py"))
MOST_LINES, MOST_FILES = 350, 14  # of a file, of a folder
HEAVY = {"torch", "transformers", "accelerate", "gguf", "safetensors", "peft"}
SLOW = HEAVY | {"scipy", "sklearn", "mteb"}  # seconds to import: the page is there before them
# The rooms, and what each imports. A folder below demo/ is a room; in ui/ and backend/ every folder and file is.
SPLIT = {"ui", "backend"}
ROOMS = {
    "__init__": "domain lab settings",
    "__main__": "cli",
    "app": "backend backend/remote backend/starting domain jobs lab serving settings ui/page",
    "analysis": "domain stages",
    "backend": "backend/fake backend/local backend/protocol backend/ray backend/remote backend/routing backend/zerogpu"
    " settings",
    "backend/decoder": "backend/model backend/private_apis backend/weights domain",
    "backend/encoder": "backend/decoder backend/model domain",
    "backend/export": "backend/loader backend/model backend/weights domain",
    "backend/fake": "backend/protocol domain",
    "backend/loader": "backend/decoder backend/encoder backend/model backend/network backend/private_apis"
    " backend/weights domain",
    "backend/local": "backend/export backend/loader backend/model backend/model_store backend/protocol"
    " backend/scheduler backend/training backend/weights domain settings",
    "backend/model": "backend/private_apis domain",
    "backend/model_loading": "backend/protocol domain jobs",
    "backend/model_store": "backend/decoder backend/loader backend/model backend/protocol backend/scheduler"
    " backend/weights domain settings",
    "backend/network": "backend/model backend/private_apis backend/weights domain",
    "backend/private_apis": "",
    "backend/protocol": "domain",
    "backend/ray": "backend/protocol backend/scheduler domain jobs settings",
    "backend/remote": "backend/protocol backend/scheduler domain jobs settings",
    "backend/routing": "backend/protocol domain",
    "backend/scheduler": "backend/decoder backend/encoder backend/loader backend/model domain jobs",
    "backend/starting": "backend/protocol domain",
    "backend/training": "backend/loader backend/model backend/private_apis backend/protocol backend/scheduler"
    " backend/weights domain",
    "backend/weights": "backend/model backend/private_apis backend/protocol domain",
    "backend/zerogpu": "backend/loader backend/local backend/model backend/protocol backend/scheduler domain settings",
    "bundled": "files",
    "cli": "analysis app domain export files jobs lab settings stages studies wording",
    "domain": "",
    "export": "domain figures files stages wording",
    "figures": "domain wording",
    "files": "domain stages",
    "jobs": "domain",
    "lab": "analysis domain export pipeline stages studies",
    "pipeline": "backend backend/model_loading backend/protocol domain files jobs settings stages",
    "serving": "domain jobs lab stages",
    "settings": "domain",
    "stages": "domain",
    "studies": "analysis backend/protocol domain files jobs pipeline stages",
    "ui": "",
    "ui/api": "domain jobs lab serving stages",
    "ui/first": "domain figures lab ui/gradio ui/kit ui/live ui/recipes wording",
    "ui/gradio": "serving",
    "ui/kit": "domain jobs lab serving ui/gradio wording",
    "ui/live": "domain export figures jobs lab serving settings ui/gradio ui/kit ui/recipes wording",
    "ui/page": "domain lab serving ui/api ui/first ui/gradio ui/kit ui/live ui/page_file ui/panels ui/tabs",
    "ui/page_file": "domain files lab ui/gradio ui/kit",
    "ui/panels": "domain export figures lab serving ui/gradio ui/kit ui/live wording",
    "ui/recipes": "domain ui/kit",
    "ui/tabs": "analysis domain figures files jobs lab settings stages studies ui/gradio ui/kit ui/live"
    " ui/page_file ui/panels wording",
    "wording": "domain",
}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def nodes(kind: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    """Every node of a kind, with its file."""
    return ((file, node) for file in FILES for node in ast.walk(tree(file)) if isinstance(node, kind))


def at(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{node.lineno}"


@cache
def imports(file: Path) -> frozenset[str]:
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
    return frozenset(names)


def importers(*packages: str) -> set[Path]:
    """The files that import one of these packages."""
    return {file for file in FILES if {name.split(".")[0] for name in imports(file)} & set(packages)}


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


# ---- imports ---------------------------------------------------------------------------------------------------------


def test_torch_is_imported_in_the_backend_only():
    tensors = {DEMO / "export" / "tensors.py"}  # the NumPy half of safetensors
    outside = {file for file in importers(*HEAVY) if top(file) != "backend"}
    assert outside <= tensors - importers(*HEAVY - {"safetensors"})


def test_gradio_is_imported_in_the_ui_only():
    assert {top(file) for file in importers("gradio", "gradio_client")} == {"ui"}
    assert {top(file) for file in importers("typer", "rich")} == {"cli"}


def test_shared_values_and_errors_need_only_the_standard_library_and_numpy():
    for name in ("datamodels", "errors"):
        packages = {name.split(".")[0] for name in imports(DEMO / "domain" / f"{name}.py")}
        assert packages <= set(sys.stdlib_module_names) | {"numpy", "demo"}


def test_rooms_import_exactly_what_the_table_shows():
    arrows = {name: set() for name in ROOMS}
    for file in FILES:
        imported = {room_of_module(name) for name in imports(file) if name.startswith("demo.")}
        assert room(file) in ROOMS, f"{room(file)} is a new room: write it into ROOMS"
        arrows[room(file)] |= imported - {room(file)}
    assert arrows == {name: set(imported.split()) for name, imported in ROOMS.items()}


def test_rooms_import_each_other_without_a_circle():
    def below(name, path=()):
        assert name not in path, f"circle: {(*path, name)}"
        for other in ROOMS[name].split():
            below(other, (*path, name))

    for name in ROOMS:
        below(name)


def light_modules() -> list[str]:
    """Everything outside the backend that exists, and the modules of the backend that others import."""
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


def test_no_star_import():
    assert not [file for file in FILES if any(name.endswith(".*") for name in imports(file))]


def test_insides_of_libraries_are_reached_in_two_rooms_only():
    """`library._name` stands in ui/gradio and in the backend; elsewhere a private name is the file's own."""
    own = {file: set(re.findall(r"(?:self\.|def |class |^ +)(_\w+)", file.read_text("utf-8"), re.M)) for file in FILES}
    reaches = [
        at(file, node)
        for file, node in nodes(ast.Attribute)
        if re.match("_[a-z]", node.attr) and node.attr not in own[file] | {"_replace", "_exit"}  # documented ones
        if room(file) != "ui/gradio" and top(file) != "backend"
    ]
    reaches += [at(file, node) for file, node in nodes(ast.ImportFrom) if any(a.name[0] == "_" for a in node.names)]
    assert reaches == []


# ---- size and names --------------------------------------------------------------------------------------------------


def test_no_file_and_no_folder_outgrows_its_limit():
    code = [file for file in DEMO.rglob("*") if file.suffix in {".py", ".js"}]
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in code}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
    files = Counter(file.parent.relative_to(ROOT) for file in code if file.name != "__init__.py")
    assert {str(folder): count for folder, count in files.items() if count > MOST_FILES} == {}


def test_every_file_opens_with_a_sentence():
    for file in FILES:
        first = (ast.get_docstring(tree(file)) or "").split("\n\n")[0]
        assert re.search(r"[.:?]$", first), f"{file}: its first paragraph is a sentence"
        assert len(first.split()) >= 4, f"{file}: says too little"


def test_files_are_named_for_what_they_do():
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "types"}
    assert not {file.stem for file in FILES} & vague


def test_public_names_use_the_field_s_words():
    dialect = set("asked told said heard wanted wished calm aloud desk doors".split())
    public = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for kind in (ast.FunctionDef, ast.ClassDef)
        for file, node in nodes(kind)
        if node in tree(file).body and not node.name.startswith("_")
    ]
    words = {name: re.findall("[A-Z]?[a-z]+", name.split(": ")[1]) for name in public}
    assert [name for name, parts in words.items() if {part.lower() for part in parts} & dialect] == []


# ---- safety ----------------------------------------------------------------------------------------------------------


def test_no_code_of_a_checkpoint_is_ever_run():
    """No trust_remote_code=True, no pickle, no torch.load, no eval: weights are data."""
    assert not importers("pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve")
    for file, node in nodes(ast.keyword):
        if node.arg in ("trust_remote_code", "allow_pickle"):
            assert ast.unparse(node.value) == "False", at(file, node.value)
    for file, node in nodes(ast.Call):
        assert ast.unparse(node.func) not in ("torch.load", "eval", "exec"), at(file, node)


def test_settings_are_the_only_reader_of_the_environment():
    for file, node in nodes(ast.Call):
        if room(file) != "settings" and ast.unparse(node.func) in ("os.getenv", "os.environ.get") and node.args:
            name = ast.unparse(node.args[0]).strip("'\"")
            assert not name.startswith(("DEMO_", "GRADIO_", "SPACE")), at(file, node)
