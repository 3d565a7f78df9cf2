"""Packaging: a wheel of this tree, installed elsewhere, beside somebody's own package `demo`. Without any network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import ROOT

FILES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")
LOOK = """
import sys
import demo
from gpt_embedding_lab import Lab, Settings
lab = Lab(Settings(engine="fake"))
assert demo.MINE and [name for name in sys.modules if name.startswith("demo")] == ["demo"]
print(round(float(lab.compare(["What is GPU?"], ["A processor."]).similarity[0, 0]), 4))
print(lab.code(postprocess="center", prompt="plain", pooling="mean", reference="corpus").count("\\n") > 20)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder that the wheel is installed into."""
    source, out, site = (tmp_path_factory.mktemp(name) for name in ("source", "wheel", "site"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in ("demo", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *alone, "--no-build-isolation", "-q", "-w", out, source], check=True, timeout=200)
    [wheel] = out.glob("gpt_embedding_lab-*.whl")
    subprocess.run([*pip, "install", *alone, "-q", "--target", site, wheel], check=True, timeout=200)
    (site / "demo.py").write_text("MINE = True\n")
    return site


def run(site: Path, *command: str) -> str:
    """What a command says in an empty folder, with the installed package alone on the path."""
    environment = {**os.environ, "PYTHONPATH": str(site), "DEMO_ENGINE": "fake", "COLUMNS": "120"}
    folder = site / "elsewhere"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_package_has_a_name_of_its_own(site):
    assert sorted(path.name for path in site.iterdir() if path.suffix not in (".py", ".dist-info")) == [
        "bin",
        "gpt_embedding_lab",
    ]
    cosine, script = run(site, sys.executable, "-c", LOOK).split()
    assert script == "True"
    assert cosine in run(site, str(site / "bin" / "gpt-embedding-lab"), "compare", "--question", "What is GPU?",
                         "--answer", "A processor.")  # fmt: skip


def test_every_file_of_the_tree_is_in_it_and_names_no_other_package(site):
    package = site / "gpt_embedding_lab"
    wanted = {path.relative_to(ROOT / "demo") for path in (ROOT / "demo").rglob("*") if path.is_file()}
    missing = {path for path in wanted if "__pycache__" not in path.parts and not (package / path).is_file()}
    assert missing == set()
    assert (package / "examples" / "benchmark").is_dir()
    lines = (line for path in package.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines())
    assert [line for line in lines if re.match(r"\s*(from|import) demo\b", line)] == []


def test_its_dependencies_are_those_of_requirements_txt(site):
    [about] = site.glob("gpt_embedding_lab-*.dist-info/METADATA")
    needs = re.findall(r"^Requires-Dist: ([\w.-]+)", about.read_text(encoding="utf-8"), re.M)
    wanted = re.findall(r"^([\w.-]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)
    assert needs == wanted


def test_the_command_serves_the_page(site):
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONUNBUFFERED": "1"}
    command = [site / "bin" / "gpt-embedding-lab", "app", "--engine", "fake", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=site, env=environment, **pipes) as server:
        try:
            url = server.stdout.readline().strip()
            assert "Are GPTs good embedding models?" in httpx.get(url, timeout=60).text
        finally:
            server.terminate()
