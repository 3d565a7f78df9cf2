"""Security: response headers and the allow-list of routes."""
