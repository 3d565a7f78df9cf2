"""Export: what people take home: vectors, scripts, model cards, reports."""
