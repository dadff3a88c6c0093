"""Grades: A, B, C by rules that a newcomer can read."""
