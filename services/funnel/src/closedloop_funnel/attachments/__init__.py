"""Files kept as evidence, and what the file itself says about when and where it was made."""
