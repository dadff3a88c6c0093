"""Matters that need signatures, from submission to their one final decision."""
