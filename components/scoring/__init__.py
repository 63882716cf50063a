"""Answers judged: text metrics, a model as judge, intervals, baselines."""
