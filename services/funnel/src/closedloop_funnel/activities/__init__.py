"""What sellers do with customers, and the days made of it."""
