"""Suggestions: facts that wait for a person."""
