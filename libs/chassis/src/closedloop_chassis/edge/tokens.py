"""Verifies callers' tokens. A token seen before costs one look into a dict."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import jwt

from closedloop_chassis import errors
from closedloop_chassis.edge.keys import Keys, KeySet
from closedloop_chassis.work import Caller

LEEWAY_SECONDS = 30
REMEMBERED = 4096
SUBJECT_CHARACTERS = 128


class Tokens:
    """JWTs signed by one of `keys`, from `issuer`, for `audience`, with `exp` and `sub`; roles in the claim `roles`.

    Times are checked against the machine's clock, never the development clock: tokens come from outside.
    """

    def __init__(self, keys: KeySet, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._verified: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._verified_with: Keys | None = None

    def known(self, token: str) -> Caller | None:
        """The caller, if this very token was verified before and still holds."""
        self._keys.look()
        if self._keys.keys is not self._verified_with:
            # A key may have been withdrawn.
            self._verified.clear()
            self._verified_with = self._keys.keys
            return None
        found = self._verified.get(token)
        if found is None or found[0] <= time.time():
            return None
        self._verified.move_to_end(token)
        return found[1]

    async def verify(self, token: str) -> Caller:
        """Raises Unauthenticated TOKEN_EXPIRED or TOKEN_INVALID, and Unavailable while no keys could be read at all."""
        key = await self._key(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise errors.Unauthenticated("TOKEN_EXPIRED", "the token has expired; get a new one") from error
        except jwt.PyJWTError as error:
            raise _invalid(str(error)) from error
        caller = _caller(claims)
        self._verified[token] = int(claims["exp"]) + LEEWAY_SECONDS, caller
        while len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return caller

    async def _key(self, token: str) -> jwt.PyJWK:
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
        except jwt.PyJWTError as error:
            raise _invalid("it cannot be read") from error
        if self._keys.keys is None or kid not in self._keys.keys:
            await self._keys.search()
        keys = self._keys.keys
        if keys is None:
            raise errors.Unavailable(
                "KEYS_AWAY", "the keys that tokens are checked with cannot be read; try again", 5.0
            )
        if kid in keys:
            return keys[kid]
        if not kid and len(keys) == 1:
            return next(iter(keys.values()))
        raise _invalid("no known key has signed it")


def _caller(claims: dict[str, Any]) -> Caller:
    subject, roles = claims["sub"], claims.get("roles", [])
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS or not subject.isprintable():
        raise _invalid(f"`sub` must be 1 to {SUBJECT_CHARACTERS} printable characters")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise _invalid("`roles` must be a list of names")
    return Caller(subject, frozenset(role.lower() for role in roles))


def _invalid(why: str) -> errors.Unauthenticated:
    return errors.Unauthenticated("TOKEN_INVALID", f"the token is not accepted: {why}")
