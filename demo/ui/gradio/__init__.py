"""Gradio: every reach into Gradio's insides, and nothing else."""
