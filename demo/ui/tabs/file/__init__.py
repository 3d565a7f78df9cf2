"""File tab: a file of questions and answers as one large matrix."""
