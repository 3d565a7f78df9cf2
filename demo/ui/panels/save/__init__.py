"""Save: the comparison as files."""
