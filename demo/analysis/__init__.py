"""Analysis: numbers from vectors and cosines. Pure functions; no model, no file, no figure."""
