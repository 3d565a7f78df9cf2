"""The suite; its folders mirror those of demo/."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the repository
