"""The build: stages, the graph that joins them, and the tools that run, remember and check them."""
