"""Space tab: embeddings as points, and their anisotropy."""
