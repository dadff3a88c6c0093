"""Chaos: a mixed load, a ledger of what was acknowledged, and faults by a plan that a seed repeats.

Read in this order: `plan` (what, when, to whom), `ground` (the platform with somebody in between), `load` and `ledger`
(who writes, and what was acknowledged), `faults` (how they are done and undone), `verdict` (the ledger against what is
there), `run` (all of it).
"""
