"""A second smallest service."""
