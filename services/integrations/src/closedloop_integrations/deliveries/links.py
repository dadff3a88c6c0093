"""Opens, clicks and one-click unsubscription by links that we have signed (S27, RFC 8058). Runs in the courier.

A mail that is counted carries a picture of one point and our addresses instead of its links. Each address names the
message, what is told and where it leads, and is signed over all three: nobody sends others elsewhere by our name, and
nobody counts for a message that was not theirs. An open or the click of a link is told once, however often it is asked
for. A picture that is not loaded, or loaded by a machine, is the known weakness of counting opens; clicks have none
but the scanner that follows links. A scanner unsubscribes nobody: following that link shows a button, which posts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import re
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_chassis.enums import number
from closedloop_integrations.settings import outside

OPEN, CLICK, LEAVE = "/hooks/open/<delivery>", "/hooks/click/<delivery>", "/hooks/unsubscribe/<delivery>"
# Ends before what closes a sentence around it.
URL = re.compile(r"https?://[^\s<>\"'，。；、！？）】》]+[^\s<>\"'，。；、！？）】》.,;:!?)\]]")
LONGEST = 2000
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PAGE = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>{body}'
ASK = PAGE.format(
    title="退订 Unsubscribe",
    body='<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<p>不再接收此类邮件？ Receive no more such mail?</p><button>退订 Unsubscribe</button></form>",
)
DONE = PAGE.format(
    title="已退订 Unsubscribed", body="<p>已退订，不会再收到此类邮件。 You will receive no more such mail.</p>"
)
NOT_KEPT = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class Signed:
    """`base`: where the courier's webhooks are reached from outside, without a slash at its end. The first of `secrets`
    signs; what the others have signed lies in mailboxes, and stays good."""

    base: str
    secrets: tuple[str, ...]

    @property
    def secret(self) -> str:
        return self.secrets[0]

    def made(self, kind: str, delivery_id: str, url: str, signature: str) -> bool:
        """Whether an address with this signature is one of ours."""
        told = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_signature(one, kind, delivery_id, url).encode(), told) for one in self.secrets)

    def pixel(self, delivery_id: str) -> str:
        return f"{self.base}/hooks/open/{delivery_id}?s={_signature(self.secret, 'open', delivery_id, '')}"

    def link(self, delivery_id: str, url: str) -> str:
        signed = _signature(self.secret, "click", delivery_id, url)
        return f"{self.base}/hooks/click/{delivery_id}?to={quote(url, safe='')}&s={signed}"

    def leave(self, delivery_id: str) -> str:
        return (
            f"{self.base}/hooks/unsubscribe/{delivery_id}?s={_signature(self.secret, 'unsubscribe', delivery_id, '')}"
        )

    def text(self, delivery_id: str, text: str) -> str:
        """The text with our addresses instead of its links."""
        return URL.sub(lambda found: self._ours(delivery_id, found[0]), text)

    def html(self, delivery_id: str, text: str) -> str:
        """The same as a page: links read as they were written, and the picture stands at the end."""
        parts, end = [], 0
        for found in URL.finditer(text):
            target = html.escape(self._ours(delivery_id, found[0]))
            parts.append(f'{_page(text[end : found.start()])}<a href="{target}">{html.escape(found[0])}</a>')
            end = found.end()
        picture = html.escape(self.pixel(delivery_id))
        return f'<p>{"".join(parts)}{_page(text[end:])}</p><img src="{picture}" width="1" height="1" alt="">'

    def _ours(self, delivery_id: str, url: str) -> str:
        return self.link(delivery_id, url) if len(url) <= LONGEST else url


def signed() -> Signed | None:
    """None where no public address or no secret is set: mails leave as they are written, and nothing is counted."""
    where = outside()
    secrets = tuple(where.link_secret.get_secret_value().split())
    return Signed(where.public_url.rstrip("/"), secrets) if where.public_url and secrets else None


def opened(desk: Desk, request: Request) -> Response:
    delivery_id = _checked(request, "open", "")
    _tell(desk, delivery_id, "opened", "")
    return Response(200, PIXEL, content_type="image/gif", headers=NOT_KEPT)


def clicked(desk: Desk, request: Request) -> Response:
    """302 to where the link leads. Forged, it leads nowhere."""
    url = request.query.get("to", "")
    delivery_id = _checked(request, "click", url)
    _tell(desk, delivery_id, "clicked", url)
    return Response(302, headers={**NOT_KEPT, "location": url})


def left(desk: Desk, request: Request) -> Response:
    """GET asks, POST unsubscribes; posted again it is the same word."""
    delivery_id = _checked(request, "unsubscribe", "")
    if request.method == "GET":
        return Response(200, ASK.encode(), content_type="text/html; charset=utf-8", headers=NOT_KEPT)
    _tell(desk, delivery_id, "unsubscribed", "")
    return Response(200, DONE.encode(), content_type="text/html; charset=utf-8", headers=NOT_KEPT)


def _checked(request: Request, kind: str, url: str) -> str:
    """Raises Unauthenticated SIGNATURE_WRONG, NotFound WEBHOOK_NOT_CONFIGURED."""
    ours = signed()
    if ours is None:
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "links are not counted here")
    delivery_id = request.values.get("delivery", "")
    if not ours.made(kind, delivery_id, url, request.query.get("s", "")):
        raise errors.Unauthenticated("SIGNATURE_WRONG", "this link is not one of ours")
    return delivery_id


def _tell(desk: Desk, delivery_id: str, state: str, url: str) -> None:
    """One event per message, kind and link; asked for again it is the same one, and changes nothing."""
    seen = events.DeliverySeen(delivery_id=delivery_id, state=number(events.SeenState, state), link=url)
    seen.time.FromDatetime(desk.now())
    desk.observe(seen, delivery_id, id=uuid5(UUID(delivery_id), f"{state}:{url}"))


def _signature(secret: str, kind: str, delivery_id: str, url: str) -> str:
    digest = hmac.new(secret.encode(), f"{kind}\n{delivery_id}\n{url}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def _page(text: str) -> str:
    return html.escape(text).replace("\n", "<br>\n")
