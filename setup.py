"""Packaging: the folder demo/ as a package of its own name, which hides nobody's own `demo`. The rest: pyproject.toml.

What is built, and it alone, imports itself by that name, and names its commands as an installation has them.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NAME = "gpt_embedding_lab"
_RENAMED = (
    (re.compile(r"^(\s*(?:from|import) )demo(?=[.\s])", re.MULTILINE), rf"\1{NAME}"),
    (re.compile("python -m demo"), "gpt-embedding-lab"),
    (re.compile(r"python app\.py"), "gpt-embedding-lab app"),
)


class BuildRenamed(build_py):
    """build_py, whose copies of the source call the package by its name."""

    def build_module(self, module, module_file, package):
        outfile, copied = super().build_module(module, module_file, package)
        source = Path(outfile).read_text(encoding="utf-8")
        for pattern, name in _RENAMED:
            source = pattern.sub(name, source)
        Path(outfile).write_text(source, encoding="utf-8")
        return outfile, copied


setup(
    packages=[*(NAME + name[len("demo") :] for name in find_packages(include=["demo", "demo.*"])), f"{NAME}.examples"],
    package_dir={NAME: "demo", f"{NAME}.examples": "examples"},
    package_data={"": ["**/*"]},
    exclude_package_data={"": ["*.py", "*.pyc", "*.png"]},
    cmdclass={"build_py": BuildRenamed},
)
