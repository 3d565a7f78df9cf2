"""Present: the heatmap on a projector."""
