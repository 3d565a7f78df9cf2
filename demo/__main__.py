"""The command line: `python -m demo compare | embed | sweep | recommend | benchmark | train | code …`."""

from demo.cli import article, benchmark, compare, embed, models, recommend, serve, sweep, takehome, train  # noqa: F401  each registers itself
from demo.cli.app import app, run

__all__ = ["app", "run"]

if __name__ == "__main__":
    run()
