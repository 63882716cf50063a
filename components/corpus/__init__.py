"""Texts: fetched, read as documents, and the corpus that every Python carries."""
