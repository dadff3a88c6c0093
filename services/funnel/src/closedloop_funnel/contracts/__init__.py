"""Agreements: drafted, decided, signed, archived."""
