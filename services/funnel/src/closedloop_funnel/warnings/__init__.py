"""Warnings: each has an owner, an action, and a check that the action worked."""
