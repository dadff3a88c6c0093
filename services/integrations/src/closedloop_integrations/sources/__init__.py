"""The outside systems as seen from here: their health, their polls, what could not be read."""
