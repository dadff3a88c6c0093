"""An IMAP4rev1 server (RFC 3501) with IDLE (RFC 2177), over one INBOX per address.

Served: CAPABILITY, ID, NOOP, CHECK, LOGIN, LOGOUT, LIST, LSUB, STATUS, SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE,
SEARCH, FETCH, STORE, the UID forms of the last three, IDLE. What FETCH and SEARCH know stands in `imap_fetch.py` and
`imap_search.py`; the rest of the protocol (other folders, APPEND, COPY) answers BAD or NO.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

from closedloop_devstack.simulators.imap_fetch import fetch_items, fetched, flag_list
from closedloop_devstack.simulators.imap_search import search
from closedloop_devstack.simulators.imap_syntax import BadCommand, quoted, text, tokens
from closedloop_devstack.simulators.imap_view import FolderView
from closedloop_devstack.simulators.mailboxes import Mailbox

CAPABILITIES = "IMAP4rev1 IDLE ID UNSELECT LITERAL+"
FLAGS = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
MAX_COMMAND = 1 << 20
Command = Callable[[list[object], bool], object]
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n\Z")


class Accounts(Protocol):
    def authenticate(self, address: str, password: str) -> Mailbox | None: ...


class No(Exception):
    """The command is right but cannot be done."""


class ImapSession:
    """One connection."""

    def __init__(self, accounts: Accounts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accounts, self.reader, self.writer = accounts, reader, writer
        self.inbox: Mailbox | None = None
        self.view: FolderView | None = None
        self.commands: dict[str, Command] = {
            "CAPABILITY": lambda *_: self._say("* CAPABILITY " + CAPABILITIES),
            "ID": lambda *_: self._say("* ID NIL"),
            "NOOP": lambda *_: None,
            "CHECK": lambda *_: self._open(),
            "LOGIN": self._login,
            "LIST": self._list,
            "LSUB": self._list,
            "STATUS": self._status,
            "SELECT": lambda arguments, _: self._select(arguments, read_only=False),
            "EXAMINE": lambda arguments, _: self._select(arguments, read_only=True),
            "CLOSE": self._close,
            "UNSELECT": self._unselect,
            "EXPUNGE": lambda *_: self._writable().box.expunge(),
            "SEARCH": self._search,
            "FETCH": self._fetch,
            "STORE": self._store,
        }

    async def run(self) -> None:
        """Serves the connection until the client leaves."""
        self._say(f"* OK [CAPABILITY {CAPABILITIES}] ready")
        try:
            await self.writer.drain()
            while (line := await self._command()) and await self._answer(line):
                await self.writer.drain()
            await self.writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self.writer.close()

    async def _command(self) -> bytes:
        """One command with its literals inline; empty when it is too long."""
        line = b""
        while True:
            part = await self.reader.readuntil(b"\r\n")
            line += part
            literal = _LITERAL.search(part)
            if literal is None:
                return line
            size = int(literal[1])
            if size + len(line) > MAX_COMMAND:
                self._say("* BYE the command is too long")
                return b""
            if not literal[2]:
                self._say("+ go on")
                await self.writer.drain()
            line += await self.reader.readexactly(size)

    async def _answer(self, line: bytes) -> bool:
        """Carries out a command; False ends the connection."""
        if self.view is not None and self.view.stale:
            self._say("* BYE the folder was renumbered")
            return False
        tag, _, rest = line.partition(b" ")
        name, _, arguments = rest.partition(b" ")
        label, command = tag.decode("ascii", "replace").strip() or "*", name.decode("ascii", "replace").strip().upper()
        if command == "LOGOUT":
            self._say("* BYE see you", f"{label} OK LOGOUT completed")
            return False
        try:
            wanted, prefix = tokens(arguments), ""
            if command == "UID" and wanted:
                prefix, command = "UID ", text(wanted.pop(0)).upper()
                if command not in ("SEARCH", "FETCH", "STORE"):
                    raise BadCommand(f"UID {command} is not served")
            if self.view is not None:
                self._say(*self.view.news(removals=False))
            if command == "IDLE":
                await self._idle(self._open())
            elif command in self.commands:
                self.commands[command](wanted, bool(prefix))
            else:
                raise BadCommand(f"command {command} is not served")
            if self.view is not None:
                # Sequence numbers must not move under a client that is using them (RFC 3501, 7.4.1).
                self._say(*self.view.news(removals=bool(prefix) or command not in ("FETCH", "STORE", "SEARCH")))
            mode = {"SELECT": "[READ-WRITE] ", "EXAMINE": "[READ-ONLY] "}.get(command, "")
            self._say(f"{label} OK {mode}{prefix}{command} completed")
        except No as refusal:
            self._say(f"{label} NO {refusal}")
        except BadCommand as error:
            self._say(f"{label} BAD {error}")
        return True

    def _login(self, arguments: list[object], _: bool) -> None:
        if len(arguments) != 2:
            raise BadCommand("LOGIN wants a name and a password")
        self.inbox = self.accounts.authenticate(text(arguments[0]), text(arguments[1]))
        if self.inbox is None:
            raise No("[AUTHENTICATIONFAILED] name or password is wrong")

    def _list(self, arguments: list[object], _: bool) -> None:
        self._mine()
        if len(arguments) != 2:
            raise BadCommand("LIST wants a reference and a pattern")
        pattern = (
            re.escape((text(arguments[0]) + text(arguments[1])).upper()).replace(r"\*", ".*").replace("%", "[^/]*")
        )
        if re.fullmatch(pattern, "INBOX"):
            self._say('* LIST (\\HasNoChildren) "/" "INBOX"')

    def _status(self, arguments: list[object], _: bool) -> None:
        box = self._named(arguments)
        figures = {
            "MESSAGES": len(box.messages),
            "RECENT": 0,
            "UIDNEXT": box.uidnext,
            "UIDVALIDITY": box.uidvalidity,
            "UNSEEN": sum("\\Seen" not in message.flags for message in box.messages),
        }
        asked = arguments[1] if len(arguments) == 2 else None
        wanted = [text(item).upper() for item in asked] if isinstance(asked, list) else []
        if not wanted or set(wanted) - set(figures):
            raise BadCommand(f"STATUS tells {' '.join(figures)}")
        self._say(f"* STATUS INBOX ({' '.join(f'{item} {figures[item]}' for item in wanted)})")

    def _select(self, arguments: list[object], *, read_only: bool) -> None:
        self.view = None
        box = self._named(arguments)
        with box.lock:
            self.view = FolderView(box, read_only=read_only)
            unseen = next((n for n, message in enumerate(box.messages, 1) if "\\Seen" not in message.flags), None)
            kept = "" if read_only else f"{FLAGS} \\*"
            self._say(
                f"* FLAGS ({FLAGS})",
                f"* OK [PERMANENTFLAGS ({kept})] kept",
                f"* {len(self.view.known)} EXISTS",
                "* 0 RECENT",
                *([f"* OK [UNSEEN {unseen}] first unseen"] if unseen else []),
                f"* OK [UIDVALIDITY {box.uidvalidity}] valid",
                f"* OK [UIDNEXT {box.uidnext}] next",
            )

    def _close(self, *_: object) -> None:
        view = self._open()
        self.view = None
        if not view.read_only:
            view.box.expunge()

    def _unselect(self, *_: object) -> None:
        self._open()
        self.view = None

    def _search(self, arguments: list[object], by_uid: bool) -> None:
        messages = self._open().messages()
        if arguments and str(arguments[0]).upper() == "CHARSET":
            if len(arguments) < 2 or text(arguments[1]).upper() not in ("UTF-8", "US-ASCII"):
                raise No("[BADCHARSET (UTF-8 US-ASCII)] unknown charset")
            arguments = arguments[2:]
        fits = search(arguments, messages[-1] if messages else None)
        found = [m.stored.uid if by_uid else m.number for m in messages if fits(m)]
        self._say(" ".join(["* SEARCH", *map(str, found)]))

    def _fetch(self, arguments: list[object], by_uid: bool) -> None:
        view = self._open()
        if len(arguments) != 2:
            raise BadCommand("FETCH wants a set and items")
        items = fetch_items(arguments[1], by_uid)
        for message in view.chosen(arguments[0], by_uid=by_uid):
            content = fetched(message.stored, items, view.read_only)
            self.writer.write(b"* %d FETCH (%s)\r\n" % (message.number, content))

    def _store(self, arguments: list[object], by_uid: bool) -> None:
        view = self._writable()
        if len(arguments) < 3:
            raise BadCommand("STORE wants a set, an action and flags")
        action, silent = re.subn(r"\.SILENT$", "", text(arguments[1]).upper())
        if action not in ("FLAGS", "+FLAGS", "-FLAGS"):
            raise BadCommand(f"STORE {action} is not served")
        given = arguments[2] if isinstance(arguments[2], list) else arguments[2:]
        flags = {_flag(text(flag)) for flag in given}
        for number, stored in view.chosen(arguments[0], by_uid=by_uid):
            changed = {"FLAGS": flags, "+FLAGS": stored.flags | flags, "-FLAGS": stored.flags - flags}
            stored.flags = set(changed[action])
            if not silent:
                uid = f"UID {stored.uid} " if by_uid else ""
                self._say(f"* {number} FETCH ({uid}FLAGS {flag_list(stored)})")

    async def _idle(self, view: FolderView) -> None:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        self._say("+ idling")
        done = asyncio.ensure_future(self.reader.readuntil(b"\r\n"))
        try:
            with view.box.watched(lambda: loop.call_soon_threadsafe(arrived.set)):
                while not done.done():
                    arrived.clear()
                    self._say(*view.news(removals=True))
                    await self.writer.drain()
                    news = asyncio.ensure_future(arrived.wait())
                    await asyncio.wait({done, news}, return_when=asyncio.FIRST_COMPLETED)
                    news.cancel()
            if done.result().strip().upper() != b"DONE":
                raise BadCommand("DONE was expected")
        finally:
            done.cancel()

    def _mine(self) -> Mailbox:
        if self.inbox is None:
            raise BadCommand("log in first")
        return self.inbox

    def _open(self) -> FolderView:
        if self.view is None:
            raise BadCommand("select a folder first")
        return self.view

    def _writable(self) -> FolderView:
        view = self._open()
        if view.read_only:
            raise No("[READ-ONLY] the folder was opened by EXAMINE")
        return view

    def _named(self, arguments: list[object]) -> Mailbox:
        box = self._mine()
        if not arguments or text(arguments[0]).upper() != "INBOX":
            raise No(f"[NONEXISTENT] no folder {quoted(text(arguments[0]) if arguments else '')}")
        return box

    def _say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())


def _flag(name: str) -> str:
    return "\\" + name[1:].title() if name.startswith("\\") else name
