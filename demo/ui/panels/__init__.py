"""Panels: what opens beside or below the heatmap."""
