"""Training: contrastive loss and what learns (LoRA, linear map)."""
