"""What texts have in common: fingerprints of their words, for duplicates and for leakage."""
