"""Leads: every inquiry, answered in time."""
