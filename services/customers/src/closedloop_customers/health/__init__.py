"""Health: how well a relationship stands, in a number that can be taken apart."""
