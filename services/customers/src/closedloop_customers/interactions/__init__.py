"""Interactions: every touch with a customer on one line of time."""
