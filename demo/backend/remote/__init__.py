"""Remote: an Engine over OpenAI-compatible embedding servers."""
