"""Action units and whether their results move: what is done nearly always without effect goes to review."""
