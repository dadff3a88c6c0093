"""Files of another system, row by row into the platform: nothing lost, nothing refused silently."""
