"""The sales funnel: every step visible, and true."""
