"""Approvals: every human decision, on time."""
