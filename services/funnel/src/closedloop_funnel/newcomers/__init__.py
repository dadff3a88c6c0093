"""Newcomers: how fast they close, whether customers come back, and which start serves them."""
