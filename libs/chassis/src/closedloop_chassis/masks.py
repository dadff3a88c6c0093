"""What an update is to change: the paths of its `update_mask`."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.field_mask_pb2 import FieldMask

from closedloop_chassis import errors


def paths(mask: FieldMask, known: Collection[str]) -> set[str]:
    """Raises InvalidArgument FIELD_UNKNOWN where it names what is not known."""
    named = set(mask.paths)
    strange = sorted(named - set(known))
    if strange:
        raise errors.InvalidArgument(
            "FIELD_UNKNOWN",
            f"update_mask names {strange[0]}; there are {', '.join(known)}",
            {"update_mask": strange[0]},
        )
    return named
