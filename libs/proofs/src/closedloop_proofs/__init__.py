"""Proof, by command: close to the limit (bench), nothing lost (chaos), nothing let in (fuzz)."""
