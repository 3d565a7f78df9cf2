"""Domain: the values, closed choices and errors that cross rooms. Standard library and NumPy only."""
