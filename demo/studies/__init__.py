"""Studies: what can be asked of a pipeline beyond one comparison, one question a file; the lab is their front door."""
