"""Ray: an Engine over Ray Serve replicas (optional extra)."""
