"""Processes of ours: who they are, how they are started and ended, and how leftovers are found again."""
