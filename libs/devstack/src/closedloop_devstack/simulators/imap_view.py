"""What one client believes of the folder it has open: which message has which sequence number."""

from __future__ import annotations

from closedloop_devstack.simulators.imap_search import Numbered
from closedloop_devstack.simulators.imap_syntax import number_set
from closedloop_devstack.simulators.mailboxes import Mailbox


class FolderView:
    """`known` are the UIDs the client has been told of, in order: the first has sequence number 1."""

    def __init__(self, box: Mailbox, *, read_only: bool) -> None:
        self.box = box
        self.read_only = read_only
        self.uidvalidity = box.uidvalidity
        self.known = [message.uid for message in box.messages]

    @property
    def stale(self) -> bool:
        return self.box.uidvalidity != self.uidvalidity

    def messages(self) -> list[Numbered]:
        with self.box.lock:
            present = {message.uid: message for message in self.box.messages}
            return [Numbered(n, present[uid]) for n, uid in enumerate(self.known, 1) if uid in present]

    def chosen(self, numbers: object, *, by_uid: bool) -> list[Numbered]:
        """The messages in a sequence set; numbers that do not exist are passed over."""
        messages = self.messages()
        largest = (messages[-1].stored.uid if by_uid else messages[-1].number) if messages else 0
        fits = number_set(numbers, largest)
        return [m for m in messages if fits(m.stored.uid if by_uid else m.number)]

    def news(self, *, removals: bool) -> list[str]:
        """Untagged answers that bring the client up to date."""
        lines = []
        with self.box.lock:
            present = [message.uid for message in self.box.messages]
            if removals:
                kept = set(present)
                for number in range(len(self.known), 0, -1):
                    if self.known[number - 1] not in kept:
                        del self.known[number - 1]
                        lines.append(f"* {number} EXPUNGE")
            newest = self.known[-1] if self.known else 0
            if fresh := [uid for uid in present if uid > newest]:
                self.known += fresh
                lines.append(f"* {len(self.known)} EXISTS")
        return lines
