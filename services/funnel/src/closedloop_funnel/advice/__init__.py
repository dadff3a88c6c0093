"""Advice after the deed: on the talk after a visit, on the clauses after a proposal (S87)."""
