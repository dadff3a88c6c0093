"""Standing in for an absent colleague, with dates."""
