"""Train tab: contrastive training, live."""
