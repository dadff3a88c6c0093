"""The book of targets: what plans enters, cascades make, and boards read. No slice of its own."""
