"""Facts as one HTML page."""
