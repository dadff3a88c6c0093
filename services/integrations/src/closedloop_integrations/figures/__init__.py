"""Whose the figures of integrations are, and what its records must say."""
