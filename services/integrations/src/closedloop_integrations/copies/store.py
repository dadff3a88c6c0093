"""Copies as their owners told them last."""

from __future__ import annotations

from typing import Any

from closedloop_chassis.data.transaction import Transaction

PUT_ACCOUNT = """
INSERT INTO account (id, name, domains, owner_id, unit_id, participant_ids, merged_into_id, version)
VALUES (%(id)s, %(name)s, %(domains)s, %(owner_id)s, %(unit_id)s, %(participant_ids)s, %(merged_into_id)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, domains = excluded.domains, owner_id = excluded.owner_id, unit_id = excluded.unit_id,
       participant_ids = excluded.participant_ids, merged_into_id = excluded.merged_into_id, version = excluded.version
 WHERE account.version < excluded.version
"""
# Names and codes follow only where this version was taken.
NEWEST = "EXISTS (SELECT FROM account WHERE id = %(id)s AND version = %(version)s)"
DROP_NAMES = f"DELETE FROM account_name WHERE account_id = %(id)s AND key <> ALL(%(keys)s) AND {NEWEST}"
PUT_NAMES = f"""
INSERT INTO account_name (account_id, key, name)
SELECT %(id)s, key, name FROM unnest(%(keys)s::text[], %(names)s::text[]) AS known (key, name) WHERE {NEWEST}
ON CONFLICT (account_id, key) DO UPDATE SET name = excluded.name
"""
DROP_CODES = f"DELETE FROM account_code WHERE account_id = %(id)s AND {NEWEST}"
PUT_CODES = f"""
INSERT INTO account_code (source, code, account_id)
SELECT source, code, %(id)s FROM unnest(%(sources)s::text[], %(codes)s::text[]) AS known (source, code) WHERE {NEWEST}
ON CONFLICT DO NOTHING
"""

PUT_CONTACT = """
INSERT INTO contact (id, account_id, name, addresses, phones, wechat_id, language, time_zone, closed_channels, state, version)
VALUES (%(id)s, %(account_id)s, %(name)s, %(addresses)s, %(phones)s, %(wechat_id)s, %(language)s, %(time_zone)s,
        %(closed_channels)s, %(state)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET account_id = excluded.account_id, name = excluded.name, addresses = excluded.addresses, phones = excluded.phones,
       wechat_id = excluded.wechat_id, language = excluded.language, time_zone = excluded.time_zone,
       closed_channels = excluded.closed_channels, state = excluded.state, version = excluded.version
 WHERE contact.version < excluded.version
"""
ERASE_CONTACTS = """
UPDATE contact
   SET name = '', addresses = '{}', phones = '{}', wechat_id = '', state = 'erased'
 WHERE id = ANY(%(ids)s::uuid[])
"""

PUT_PRODUCT = """
INSERT INTO product (id, name, keys, version) VALUES (%(id)s, %(name)s, %(keys)s, %(version)s)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, keys = excluded.keys, version = excluded.version
 WHERE product.version < excluded.version
"""


def put_account(tx: Transaction, row: dict[str, Any]) -> None:
    """`keys` and `names`: the names, normalised and as written; `sources` and `codes`: what other systems call it."""
    for statement in (PUT_ACCOUNT, DROP_NAMES, PUT_NAMES, DROP_CODES, PUT_CODES):
        tx.do(statement, row)


def put_contact(tx: Transaction, row: dict[str, Any]) -> None:
    tx.do(PUT_CONTACT, row)


def erase_contacts(tx: Transaction, ids: list[str]) -> None:
    tx.do(ERASE_CONTACTS, {"ids": ids})


def put_product(tx: Transaction, row: dict[str, Any]) -> None:
    tx.do(PUT_PRODUCT, row)
