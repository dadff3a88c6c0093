"""What an update is to change: the paths of its `update_mask`."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.field_mask_pb2 import FieldMask

from closedloop_chassis import errors


def paths(mask: FieldMask, known: Collection[str], *, of: str = "") -> set[str]:
    """Raises InvalidArgument FIELD_UNKNOWN where it names what is not known; `of`: known of what, e.g. "one that is done"."""
    named = set(mask.paths)
    if strange := sorted(named - set(known)):
        raise _unknown(", ".join(strange), known, of)
    return named


def some(mask: FieldMask, known: Collection[str], *, of: str = "") -> set[str]:
    """The same of an update that has to say what it changes: naming nothing is refused too."""
    if not mask.paths:
        raise _unknown("nothing", known, of)
    return paths(mask, known, of=of)


def _unknown(named: str, known: Collection[str], of: str) -> errors.InvalidArgument:
    there = f"of {of} there are" if of else "there are"
    text = f"update_mask names {named}; {there} {', '.join(sorted(known))}"
    return errors.InvalidArgument("FIELD_UNKNOWN", text[:1000], {"update_mask": named[:200]})
