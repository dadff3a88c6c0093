"""Tokens verify with the JWKS, and only with it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from closedloop_devstack.keys import KeyRing


def verify(token: str, ring: KeyRing) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(json.loads(ring.jwks.read_text()))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], issuer="closedloop", audience="closedloop")
    return claims


def test_a_token_says_who_and_for_how_long(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    claims = verify(ring.token("zhang.wei", ["rep", "manager", "rep"], hours=2), ring)
    assert claims["sub"] == "zhang.wei"
    assert claims["roles"] == ["manager", "rep"]
    assert claims["exp"] - claims["iat"] == 2 * 3600
    assert abs(claims["iat"] - time.time()) < 5


def test_the_key_is_found_again_and_stays_private(tmp_path: Path) -> None:
    token = KeyRing(tmp_path).token("a", ["rep"])
    again = KeyRing(tmp_path)
    assert verify(token, again)["sub"] == "a"
    assert (tmp_path / "signing.pem").stat().st_mode & 0o077 == 0
    assert "d" not in json.loads(again.jwks.read_text())["keys"][0]


def test_another_homes_token_is_refused(tmp_path: Path) -> None:
    ours, theirs = KeyRing(tmp_path / "ours"), KeyRing(tmp_path / "theirs")
    with pytest.raises(KeyError):
        verify(theirs.token("a", ["admin"]), ours)
    forged = jwt.encode(
        {"sub": "a", "iss": "closedloop", "aud": "closedloop"},
        (theirs.jwks.parent / "signing.pem").read_text(),
        algorithm="ES256",
        headers={"kid": json.loads(ours.jwks.read_text())["keys"][0]["kid"]},
    )
    with pytest.raises(jwt.InvalidSignatureError):
        verify(forged, ours)


def test_a_token_expires(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    with pytest.raises(jwt.ExpiredSignatureError):
        verify(ring.token("a", ["rep"], hours=-1), ring)


def test_a_service_has_a_token_file_of_its_own(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    path = ring.write_service_token("funnel")
    claims = verify(path.read_text(), ring)
    assert (claims["sub"], claims["roles"]) == ("service:funnel", ["service"])
    assert path.stat().st_mode & 0o077 == 0
