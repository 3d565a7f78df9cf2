"""Benchmark tab: quality against speed on labelled sets."""
