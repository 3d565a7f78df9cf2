"""Live: the heatmap tab, its form and its live updates."""
