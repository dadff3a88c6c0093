"""Traceability: which tests prove which row of the mission, and how they last ended."""
