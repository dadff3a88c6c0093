"""Opportunity points: needs voiced to somebody else, brought to a seller."""
