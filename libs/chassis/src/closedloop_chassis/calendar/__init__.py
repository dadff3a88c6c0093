"""Business calendars: what a working hour is, and arithmetic with it."""
