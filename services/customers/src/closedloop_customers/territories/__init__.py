"""Territories: which part of the market belongs to which unit, as a tree."""
