"""The outside world, at arm's length: what comes in is judged here, what goes out leaves from here."""
