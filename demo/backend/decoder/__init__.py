"""Decoder: our own forward pass for GPTs, with fused products, prefix tree and KV caches."""
