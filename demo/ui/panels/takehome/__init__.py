"""Take home: the reading as a script or a sentence-transformers folder."""
