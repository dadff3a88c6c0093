"""Whose the figures of customers are, and what its records must say."""
