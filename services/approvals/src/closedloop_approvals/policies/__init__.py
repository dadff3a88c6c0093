"""Which signatures a matter needs."""
