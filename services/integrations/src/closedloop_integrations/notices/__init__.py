"""Procurement notices: polled, read, matched with customers, told (S70)."""
