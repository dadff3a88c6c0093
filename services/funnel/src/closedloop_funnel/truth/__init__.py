"""Truth of activities: false check-ins found by rules that can be read."""
