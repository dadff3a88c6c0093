"""Reminders: agreed dates, told the day before and that morning."""
