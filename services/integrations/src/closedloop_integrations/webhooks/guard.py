"""Which addresses may be called on a subscriber's word: https to allowed hosts.

Allowed hosts are settings of the process, so that no account of the platform can point us anywhere else. That such a host does not
lie within our own network is seen where it is called (`outbound.py`).
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from closedloop_chassis import errors
from closedloop_integrations.settings import Outside

LONGEST_NAME = 253


def check(url: str, where: Outside) -> None:
    """Raises InvalidArgument URL_NOT_HTTPS, HOST_NOT_ALLOWED."""
    parts = _split(url)
    inner = inside(parts, where)
    if parts.scheme != "https" and not (inner and parts.scheme == "http"):
        raise errors.InvalidArgument("URL_NOT_HTTPS", "only https is called", {"url": "https://… is expected"})
    if parts.username or parts.password or parts.fragment:
        raise errors.InvalidArgument(
            "HOST_NOT_ALLOWED",
            "an address without user, password or fragment is expected",
            {"url": "host and path only"},
        )
    host = parts.hostname or ""
    if not inner and not any(_named(host, pattern) for pattern in where.webhook_hosts):
        raise errors.InvalidArgument(
            "HOST_NOT_ALLOWED",
            f"{host[:LONGEST_NAME] or 'no host'} is none of the hosts that may be called",
            {"url": "see CLOSEDLOOP_INTEGRATIONS_WEBHOOK_HOSTS"},
        )


def inside(parts: SplitResult, where: Outside) -> bool:
    """Whether operations have said that this host of our own network may be called, and in plain text."""
    return bool(parts.hostname) and where.is_inner(parts.hostname or "", parts.port)


def _named(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 if pattern.startswith("*.") else host == pattern


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise errors.InvalidArgument("HOST_NOT_ALLOWED", "no address", {"url": "no address"}) from error
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in url):
        raise errors.InvalidArgument("HOST_NOT_ALLOWED", "no address", {"url": "white space or control characters"})
    return parts
