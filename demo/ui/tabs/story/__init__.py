"""Story tab: the article's experiment in steps."""
