"""Weights: a checkpoint is located, downloaded or converted, and verified; adapters."""
