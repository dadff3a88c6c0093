"""Tests of the customers service, through its contract."""
