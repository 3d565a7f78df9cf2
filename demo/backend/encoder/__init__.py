"""Encoder: our own forward pass for bidirectional models, without padding in the products."""
