"""Recipes: readings by name, one click each, over the heatmap."""
