"""Customers: who they are, who answers for them, and what to do next."""
