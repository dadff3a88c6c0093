"""Mail of customers, read and understood; ours, as it went out (S69, S32)."""
