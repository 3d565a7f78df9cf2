"""Model: tokenize, forward pass, pooling; what a checkpoint declares; device and export."""
