"""Adapters to tools that are optional extras: each is imported only where it is asked for."""
