"""Studies: what can be asked of a bench beyond one comparison, one question a file; the lab is their front door."""
