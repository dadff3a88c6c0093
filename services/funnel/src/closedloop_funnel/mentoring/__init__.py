"""The mentor bounty: who answers newcomers earns points (S90)."""
