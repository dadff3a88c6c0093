"""Management put to the test: assigned by seed, looked at when it was said beforehand, and said how sure it is."""
