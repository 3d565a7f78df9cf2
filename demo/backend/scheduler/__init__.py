"""Scheduler: continuous batching, the model runner, caches, CPU lanes."""
