"""API: what other programs call: OpenAI-compatible embeddings, MCP tools."""
