"""Files: what people upload or pass on the command line, parsed into frozen values or refused with a sentence."""
