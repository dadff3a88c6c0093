"""Two independent calculations over one set of raw transactions, and what follows from them (S74-S78)."""
