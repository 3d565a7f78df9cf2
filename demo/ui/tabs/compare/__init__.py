"""Compare tab: two to four readings side by side."""
