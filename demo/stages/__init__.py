"""Stages of the pipeline, one a file: pure functions from texts to a similarity matrix."""
