"""The command line: options become a lab's arguments, answers become lines, JSON, CSV or files. Computes nothing."""
