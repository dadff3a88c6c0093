"""Figures that are read every morning."""
