"""Where a host's name leads, and whether that lies outside of our own network.

Whoever names a host to us (a subscriber, the rulebook) must not thereby lead us to what is within: a name is resolved once for
each connection, everything it resolves to must be a public address, and the connection goes to the address that was looked at.
"""

from __future__ import annotations

import ipaddress
import socket


class UnknownError(Exception):
    """The name leads nowhere."""


class InwardError(Exception):
    """It lies within our own network, or one of its addresses does."""


def public(host: str, port: int) -> str:
    """The address to connect to. Raises UnknownError, InwardError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownError(f"{host} is not known by name") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not addresses:
        raise UnknownError(f"{host} is not known by name")
    if not all(_outside(address) for address in addresses):
        raise InwardError(f"{host} lies within our own network")
    return addresses[0]


# Which the standard library takes for public: site-local addresses of old, those a network translates by itself, and addresses
# of the old kind in clothes nobody should come in any more.
_INNER = tuple(ipaddress.ip_network(each) for each in ("fec0::/10", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96"))


def _outside(address: str) -> bool:
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _INNER):
            return False
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
