"""Studies: what can be asked of a bench beyond one comparison. Each file is one question; the lab is their front door."""
