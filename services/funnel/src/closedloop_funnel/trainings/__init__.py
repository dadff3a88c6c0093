"""Trainings, and whether they changed real conversations (S84)."""
