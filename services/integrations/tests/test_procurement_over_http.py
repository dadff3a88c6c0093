"""What the simulated site publishes is what the reader reads, over HTTP, also on a bad day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from closedloop_devstack.simulators.procurement import PAGE_SIZE, ProcurementSite
from closedloop_integrations.procurement.matching import CustomerName, NoticeMatcher
from closedloop_integrations.procurement.site import ListPage, NoticeDetail, NoticeRow, decode, parse_detail, parse_list

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def site() -> Iterator[ProcurementSite]:
    with ProcurementSite(limit=0, seed=3) as running:
        running.fill(45, datetime(2026, 3, 2, 1, 30, tzinfo=UTC))
        yield running


def pages(url: str) -> Iterator[ListPage]:
    while url:
        answer = httpx.get(url)
        listed = parse_list(decode(answer.content, answer.headers["content-type"]), url)
        yield listed
        url = listed.next_url


@pytest.mark.mission("S70")
@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_every_notice_is_read_and_a_broken_row_stops_nobody(site: ProcurementSite, charset: str) -> None:
    faults = {"malformed": True, "charset": charset}
    assert httpx.post(f"{site.url}/_control/faults", json=faults).status_code == 200
    listed = list(pages(f"{site.url}/search"))
    rows: list[NoticeRow] = [row for page in listed for row in page.rows]
    assert [(row.id, row.title, row.buyer, row.published, row.agency, row.kind, row.region) for row in rows] == [
        (n.id, n.title, n.buyer, n.published, n.agency, n.kind, n.region) for n in site.notices
    ]
    assert [len(page.rows) for page in listed] == [PAGE_SIZE, PAGE_SIZE, 5]
    assert [[broken.reason for broken in page.quarantined] for page in listed] == [["LINK_MISSING"]] * 3
    assert {page.total for page in listed} == {45}


@pytest.mark.mission("S70")
def test_a_customer_is_found_in_a_published_notice(site: ProcurementSite) -> None:
    published = next(notice for notice in site.notices if "中学" in notice.buyer)
    answer = httpx.get(site.notice_url(published))
    notice = parse_detail(decode(answer.content, answer.headers["content-type"]), str(answer.url))
    assert isinstance(notice, NoticeDetail)
    assert (notice.id, notice.buyer, notice.body) == (published.id, published.buyer, published.body)
    assert notice.amount_minor == round(float(published.amount.removesuffix("万元")) * 1_000_000)
    matcher = NoticeMatcher([CustomerName("c1", published.buyer), CustomerName("c2", f"{published.buyer}附属小学")])
    found = matcher.match(notice.buyer, notice.title, notice.body)
    assert [(match.customer_id, match.place) for match in found.customers] == [("c1", "buyer")]
    assert "education" in {sector.sector for sector in found.sectors}
