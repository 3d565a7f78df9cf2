"""Figures: results become Plotly figures. Holds no person's text that is not escaped: axes say Q1 and A1."""

from demo.figures.explanation import MOST_TOKENS, plot_token_similarity
from demo.figures.similarity import COLORSCALE, SCALES, plot_similarity, two_digits
from demo.figures.space import WORDS as SPACE_WORDS
from demo.figures.space import percent, plot_space_2d, plot_space_3d, plot_variance

__all__ = [
    "COLORSCALE",
    "MOST_TOKENS",
    "SCALES",
    "SPACE_WORDS",
    "percent",
    "plot_similarity",
    "plot_space_2d",
    "plot_space_3d",
    "plot_token_similarity",
    "plot_variance",
    "two_digits",
]
