"""What a build has found, read from its files, with intervals: one module for each section of the report."""
