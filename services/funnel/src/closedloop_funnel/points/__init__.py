"""Points for verified actions: a double-entry ledger that balances at any time."""
