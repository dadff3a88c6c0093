"""Which addresses may be called on a subscriber's word: https to allowed hosts that are not within our own network.

Allowed hosts are settings of the process, so that no account of the platform can point us inwards. A name is resolved
once for each call, everything it resolves to must lie outside, and the call goes to the address that was looked at.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from closedloop_chassis import errors
from closedloop_integrations.outbound import NotSentError
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


def pinned(url: str, where: Outside) -> str:
    """The address to connect to. Raises NotSentError where the host is allowed no longer, unknown, or within."""
    try:
        check(url, where)
    except errors.InvalidArgument as error:
        raise NotSentError(f"{error.reason}: {error.message}") from error
    parts = _split(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSentError(f"{parts.hostname} is not known by name") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not addresses:
        raise NotSentError(f"{parts.hostname} is not known by name")
    if not inside(parts, where) and not all(_outside(address) for address in addresses):
        raise NotSentError("HOST_NOT_ALLOWED: it lies within our own network")
    return addresses[0]


def inside(parts: SplitResult, where: Outside) -> bool:
    """Whether operations have said that this host of our own network may be called, and in plain text."""
    return bool(parts.hostname) and any(
        name in (parts.hostname, f"{parts.hostname}:{parts.port}") for name in where.webhook_inner_hosts
    )


def _named(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 if pattern.startswith("*.") else host == pattern


def _outside(address: str) -> bool:
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # Addresses of the old kind in the new kind's clothes.
        found = (
            found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None) or _translated(found)
        )
    return found.is_global and not found.is_multicast


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """64:ff9b::/96 leads to the address of the old kind in its last 32 bits."""
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise errors.InvalidArgument("HOST_NOT_ALLOWED", "no address", {"url": "no address"}) from error
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in url):
        raise errors.InvalidArgument("HOST_NOT_ALLOWED", "no address", {"url": "white space or control characters"})
    return parts
