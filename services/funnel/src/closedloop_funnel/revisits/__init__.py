"""Customers to be seen again because their feedback is missing."""
