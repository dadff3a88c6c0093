"""Whose the funnel's figures are, and what its records must say."""
