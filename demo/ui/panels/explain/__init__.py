"""Explain: which tokens carry a cell's cosine."""
