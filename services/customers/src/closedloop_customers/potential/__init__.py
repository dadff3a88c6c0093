"""Potential: which accounts are worth the effort, and why."""
