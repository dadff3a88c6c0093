"""Playbooks: what to say, what to ask and when to come back (SOP)."""
