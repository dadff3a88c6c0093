"""What WeCom tells: XML to the address of an application, and rows of its archive of conversations.

The archive is read by Tencent's own library beside us, whose rows, decrypted, come by the signed feed "wecom_archive".
Sources: developer.work.weixin.qq.com/document/path/90239 (messages), /91774 (archive).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from closedloop_chassis import errors
from closedloop_integrations.conversations.rules import (
    Announced,
    ConversationRules,
    Recorded,
    Unreadable,
    Written,
    at,
    clean,
    moment,
    recorded,
    text_at,
)

SOURCE, MEETING = "wecom", "meeting_change"
# Deeper than any of its messages is.
DEPTH = 6


def fields(text: str) -> dict[str, Any]:
    """The elements under the root by name; what stands several times is a list.

    Raises InvalidArgument CALLBACK_UNSAFE for whatever declares a document type or an entity, CALLBACK_UNREADABLE."""
    try:
        found = _tree(fromstring(text, forbid_dtd=True), 0)
    except DefusedXmlException as error:
        raise errors.InvalidArgument("CALLBACK_UNSAFE", "it declares a document type") from error
    except (ParseError, ValueError) as error:
        raise errors.InvalidArgument("CALLBACK_UNREADABLE", "this is no XML of WeCom's") from error
    return found if isinstance(found, dict) else {}


def _tree(element: Element, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError("nested beyond reading")
    if not len(element):
        return (element.text or "").strip()
    found: dict[str, Any] = {}
    for child in element:
        value = _tree(child, depth + 1)
        if child.tag in found:
            known = found[child.tag]
            found[child.tag] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            found[child.tag] = value
    return found


def called_back(message: str, rules: ConversationRules) -> Written | Recorded | Announced | None:
    """None for what is no talk. Raises Unreadable, and InvalidArgument as `fields` does."""
    told = fields(message)
    kind, sender = text_at(told, "MsgType"), text_at(told, "FromUserName")
    if kind == "event":
        event = text_at(told, "Event")
        if shape := rules.events.get(SOURCE, {}).get(event):
            return recorded(SOURCE, told, shape)
        meeting = text_at(told, "MeetingId")
        return Announced(meeting) if event == MEETING and meeting else None
    if kind != "text":
        return None
    sent_at, id, agent = moment(told.get("CreateTime")), text_at(told, "MsgId"), text_at(told, "AgentID")
    if sent_at is None or not id or not sender:
        raise Unreadable("a message without sender, time or id")
    text = text_at(told, "Content")
    return Written(SOURCE, id, f"agent:{agent}:{sender}", sent_at, sender, "", (), "", text)


def archived(row: Mapping[str, Any]) -> Written | Recorded | None:
    """A row of the archive, decrypted. None for what is no talk. Raises Unreadable."""
    if text_at(row, "action") != "send":
        return None
    kind, id, sender, begun = (text_at(row, name) for name in ("msgtype", "msgid", "from", "msgtime"))
    listed = row.get("tolist")
    to = tuple(clean(each) for each in listed if isinstance(each, str)) if isinstance(listed, list) else ()
    sent_at = moment(begun)
    if kind not in ("text", "meeting_voice_call", "voiptext"):
        return None
    if not id or not sender or sent_at is None:
        raise Unreadable("a row without sender, time or id")
    room = text_at(row, "roomid")
    if kind == "text":
        chat = room or "|".join(sorted({sender, *to}))
        return Written(SOURCE, id, chat, sent_at, sender, "", to, "", text_at(row, "text.content"))
    users = tuple((user, "") for user in dict.fromkeys((sender, *to)))
    if kind == "meeting_voice_call":
        end = moment(at(row, "meeting_voice_call.endtime"))
        if end is not None and end < sent_at:
            raise Unreadable("it ends before it begins")
        name = text_at(row, "voiceid") or id
        return Recorded(SOURCE, name, "meeting", sent_at, end - sent_at if end else None, users, "")
    # Written when it was over.
    seconds = text_at(row, "info.callduration")
    length = timedelta(seconds=min(int(seconds), 10**6)) if seconds.isascii() and seconds.isdigit() else timedelta(0)
    return Recorded(SOURCE, id, "call", sent_at - length, length, users, "")


def held(told: Mapping[str, Any]) -> Recorded:
    """A meeting as WeCom details it when it has ended: those count who were there. Raises Unreadable."""
    id, begin = text_at(told, "meetingid"), moment(at(told, "meeting_start"))
    if not id or begin is None:
        raise Unreadable("a meeting without id or begin")
    members, guests = (at(told, f"attendees.{name}") for name in ("member", "tmp_external_user"))
    invited = [
        (text_at(one, name), moment(one.get("first_join_time")), moment(one.get("last_quit_time")))
        for listed, name in ((members, "userid"), (guests, "tmp_external_userid"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping) and text_at(one, name)
    ]
    there = [one for one in invited if one[1] is not None and one[1].timestamp() > 0]
    host = text_at(told, "admin_userid")
    users = dict.fromkeys(user for user, _, _ in sorted(there, key=lambda one: one[0] != host))
    if not users:
        raise Unreadable("nobody came")
    started = min(joined for _, joined, _ in there if joined)
    ended = max((quit for _, _, quit in there if quit), default=started)
    length = max(ended - started, timedelta(0))
    return Recorded(SOURCE, id, "meeting", started, length, tuple((user, "") for user in users), text_at(told, "title"))
