"""Limits: body size, request rate, header timeout, client address."""
