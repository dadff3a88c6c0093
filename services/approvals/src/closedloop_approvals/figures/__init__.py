"""Whose the figures of approvals are, and what requests and tasks must say."""
