"""Our events, signed, at the doors of those who subscribed (U15)."""
