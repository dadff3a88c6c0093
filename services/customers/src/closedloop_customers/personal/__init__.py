"""Personal data: what is kept of people, what they allowed, and what they ask of us (PIPL)."""
