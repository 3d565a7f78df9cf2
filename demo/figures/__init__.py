"""Figures: results become Plotly figures. Holds no person's text that is not escaped: axes say Q1 and A1."""
