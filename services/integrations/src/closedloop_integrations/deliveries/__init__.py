"""Messages that leave the house: asked for, worded, held or sent, and their lives after that (S73)."""
