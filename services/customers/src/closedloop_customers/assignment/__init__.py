"""Assignment: who works on what, and why."""
