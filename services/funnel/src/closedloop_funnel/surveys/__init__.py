"""Asking the customer: a random, reproducible share of contacts."""
