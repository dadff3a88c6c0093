"""Addresses a mail can be sent to."""

from __future__ import annotations

import re

# Of RFC 5321 without quoted names, which nobody has; a server that takes letters of all scripts before the @ (RFC 6531) is
# not asked for, most refuse them.
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.I)
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*", re.I)
LONGEST_LOCAL, LONGEST_DOMAIN = 64, 253


class MalformedError(ValueError):
    """No server could be asked for it."""


def routed(address: str) -> str:
    """As it is written to servers: a domain of other letters in its ASCII form (IDNA). Raises MalformedError."""
    local, at, domain = address.rpartition("@")
    if not at or len(local) > LONGEST_LOCAL or len(domain) > LONGEST_DOMAIN or not _LOCAL.fullmatch(local):
        raise MalformedError("no mail address")
    try:
        name = domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise MalformedError(f"no domain: {domain[:100]}") from error
    if not _DOMAIN.fullmatch(name):
        raise MalformedError(f"no domain: {domain[:100]}")
    return f"{local}@{name}"
