"""What the two processes of a service call out to each other through PostgreSQL's NOTIFY.

A bell only says "look now"; whoever sleeps through it looks by itself after a while. It is rung after the commit, never
in it: a transaction that notifies holds up every other commit of the server while it is flushed.
"""

from __future__ import annotations

# api → courier: something was put into the outbox. courier → reactor: something was put into the inbox.
OUTBOX, INBOX = "closedloop_outbox", "closedloop_inbox"

RING = "SELECT pg_notify(%(bell)s, '')"
LISTEN = "LISTEN {bell}"
