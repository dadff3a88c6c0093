"""Records that refer to files: what is named must be there and within the caller's reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from closedloop_chassis import errors
from closedloop_chassis.work import Call, Work
from closedloop_funnel.attachments import store
from closedloop_funnel.attachments.record import Attachment


async def check(call: Call, ids: Iterable[str], field: str) -> Mapping[str, Attachment]:
    """The files by id; no round trip for none. Raises InvalidArgument ATTACHMENT_UNKNOWN, also for somebody else's file:
    whoever could attach it would read it."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found = await store.known(call.tx, wanted)
    for one in wanted:
        file = found.get(one)
        if file is None or not _reachable(file, call):
            raise errors.InvalidArgument("ATTACHMENT_UNKNOWN", f"no attachment {one}", {field: "unknown"})
    return found


async def usable(call: Call, ids: Iterable[str], pictures: Iterable[str] = ()) -> list[str]:
    """Those of the files that the caller may refer to; of `pictures` only what is one."""
    wanted, shown = set(ids), set(pictures)
    if not wanted:
        return []
    found = await store.known(call.tx, sorted(wanted))
    return [
        one.id for one in found.values() if _reachable(one, call) and (one.id not in shown or one.picture is not None)
    ]


def _reachable(file: Attachment, call: Call) -> bool:
    return file.author_id == call.caller.subject or call.scope.covers(file.author_id, file.unit_id)


def check_pictures(files: Mapping[str, Attachment], ids: Iterable[str], field: str) -> None:
    """Raises InvalidArgument ATTACHMENT_NOT_IMAGE."""
    for one in ids:
        if files[one].picture is None:
            raise errors.InvalidArgument(
                "ATTACHMENT_NOT_IMAGE", f"{files[one].file_name} is no picture", {field: "not an image"}
            )


def attach(work: Work, ids: Iterable[str], record_kind: str, record_id: str) -> None:
    """Queues that the record uses the files; whoever may read it may read them from then on."""
    wanted = sorted(set(ids))
    if wanted:
        work.tx.do(store.USE, {"ids": wanted, "kind": record_kind, "record_id": record_id})
