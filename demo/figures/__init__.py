"""Figures: results become Plotly figures. Holds no person's text that is not escaped: axes say Q1 and A1."""

from demo.figures.similarity import COLORSCALE, SCALES, plot_similarity, two_digits

__all__ = ["COLORSCALE", "SCALES", "plot_similarity", "two_digits"]
