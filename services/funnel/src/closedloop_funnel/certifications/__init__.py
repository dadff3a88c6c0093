"""Managers certified in reading metrics, attribution and the design of experiments, on real figures (S99)."""
