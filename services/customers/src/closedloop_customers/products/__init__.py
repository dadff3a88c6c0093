"""Products: a copy of what targets keeps, as far as customers care for it."""
