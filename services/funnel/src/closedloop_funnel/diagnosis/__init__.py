"""Where deals stick, and why: out of our own moves or out of any process log."""
