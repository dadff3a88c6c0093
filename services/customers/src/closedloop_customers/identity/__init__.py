"""Identity: the same customer written five ways is one customer."""
