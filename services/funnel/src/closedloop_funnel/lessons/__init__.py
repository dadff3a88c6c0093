"""Lessons at the step that needs them; learned is what is applied (S86, S88)."""
