"""What `python -m pipeline` can do that is no stage: one module per command, of the same name."""
