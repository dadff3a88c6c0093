"""Prices offered: drafted, decided, issued, answered."""
