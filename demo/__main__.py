"""The command line: `python -m demo compare | embed | models | sweep | benchmark | code | export | train`."""

from demo.cli import article, benchmark, compare, embed, models, sweep, takehome, train  # noqa: F401  each registers its command
from demo.cli.app import app, run

__all__ = ["app", "run"]

if __name__ == "__main__":
    run()
