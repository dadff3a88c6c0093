"""Targets: from the company's number to one person's day."""
