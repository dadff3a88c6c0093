"""Deals on their way: opened, moved with evidence, won or lost, brought in."""
