"""Minimum effective action units: the smallest steps of selling that can be verified."""
