"""What integrations keeps of other services: accounts with all their names, contacts, products."""
