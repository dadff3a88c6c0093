"""How close to the limit: every figure is a ratio against a limit or a peer measured in the same run, in turns."""
