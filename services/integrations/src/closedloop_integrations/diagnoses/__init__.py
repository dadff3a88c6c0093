"""The diagnosis of a data set that is not ours yet (S83)."""
