"""Sweep tab: every layer × pooling × prompt × post-processing."""
