"""What managers hold to, quarter by quarter: whether it moves what it should."""
