"""First picture: the page's first heatmap in its first response, before Gradio and Plotly have loaded."""
