"""The sealed envelope in which WeCom and DingTalk call back, the same of both.

AES-256-CBC under a key of 43 base64 characters, its first 16 bytes the IV, PKCS#7 to 32 bytes; inside are 16 random bytes,
the length of the message in four, the message, and for whom it is. The signature is SHA-1 over token, time, nonce and
envelope in alphabetical order. Sources: developer.work.weixin.qq.com/document/path/91144, and
open.dingtalk.com/document/orgapp/configure-event-subcription.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from closedloop_chassis import errors

BLOCK_BITS = 256
RANDOM, LENGTH = 16, 4


@dataclass(frozen=True, slots=True)
class Keys:
    """What an application shares with its platform; `receiver` is the corp id, app key or suite key its envelopes name."""

    token: str
    aes_key: str
    receiver: str

    @property
    def cipher(self) -> Cipher[CBC]:
        key = base64.b64decode(f"{self.aes_key}=")
        return Cipher(AES(key), CBC(key[:RANDOM]))


def signature(token: str, stamp: str, nonce: str, sealed: str) -> str:
    told = "".join(sorted((token, stamp, nonce, sealed))).encode("utf-8", "replace")
    return hashlib.sha1(told, usedforsecurity=False).hexdigest()


def signed(keys: Keys, given: str, stamp: str, nonce: str, sealed: str) -> bool:
    expected = signature(keys.token, stamp, nonce, sealed)
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def opened(keys: Keys, sealed: str) -> str:
    """The message. Raises InvalidArgument CALLBACK_UNREADABLE, PermissionDenied RECEIVER_WRONG.

    Only for what was signed: who may try envelopes at will learns from the refusals what is in them."""
    try:
        decryptor, unpadder = keys.cipher.decryptor(), PKCS7(BLOCK_BITS).unpadder()
        padded = decryptor.update(base64.b64decode(sealed, validate=True)) + decryptor.finalize()
        plain = unpadder.update(padded) + unpadder.finalize()
        size = int.from_bytes(plain[RANDOM : RANDOM + LENGTH], "big")
        body = plain[RANDOM + LENGTH :]
        if len(plain) < RANDOM + LENGTH or size > len(body):
            raise ValueError("shorter than it says")
        message, receiver = body[:size].decode(), body[size:].decode()
    except (ValueError, binascii.Error) as error:
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", "this is no envelope of ours") from error
    if receiver != keys.receiver:
        raise errors.PermissionDenied("RECEIVER_WRONG", "this envelope is for somebody else")
    return message


def sealed(keys: Keys, message: str) -> str:
    body = message.encode()
    plain = os.urandom(RANDOM) + len(body).to_bytes(LENGTH, "big") + body + keys.receiver.encode()
    padder, encryptor = PKCS7(BLOCK_BITS).padder(), keys.cipher.encryptor()
    padded = padder.update(plain) + padder.finalize()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
