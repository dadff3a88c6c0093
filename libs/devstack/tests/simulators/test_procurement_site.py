"""The simulated procurement site, as an HTTP client sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from closedloop_devstack.simulators.procurement import Notice, ProcurementSite

pytestmark = pytest.mark.timeout(30)
MORNING = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
NOTICE = Notice(
    "济南市第三中学智慧黑板采购",
    "济南市第三中学",
    MORNING,
    "128.65万元",
    "诚信招标",
    region="山东",
    body="八十块。\n<急>",
)


@pytest.fixture
def site() -> Iterator[ProcurementSite]:
    with ProcurementSite(limit=0) as running:
        yield running


def test_a_published_notice_is_listed_and_can_be_read(site: ProcurementSite) -> None:
    notice = site.publish(NOTICE)
    listed = httpx.get(f"{site.url}/search").text
    assert "2026.03.02 09:30:00 | 采购人：济南市第三中学 | 代理机构：诚信招标 | 公开招标公告 | 山东" in listed
    link = re.search(r'href="(/notices/[^"]+)"', listed)
    assert link is not None
    detail = httpx.get(site.url + link[1])
    assert detail.status_code == 200
    assert site.url + link[1] == site.notice_url(notice)
    assert "128.65万元" in detail.text
    assert "&lt;急&gt;" in detail.text
    assert httpx.get(f"{site.url}/notices/t1.htm").status_code == 404


def test_lists_are_paged_newest_first_and_searched(site: ProcurementSite) -> None:
    site.fill(45, MORNING)
    seen, url = [], "/search?kw="
    while url:
        page = httpx.get(site.url + url).text
        seen += re.findall(r"/notices/(\w+)\.htm", page)
        following = re.search(r'class="next" href="([^"]+)"', page)
        url = following[1].replace("&amp;", "&") if following else ""
    assert seen == [notice.id for notice in site.notices]
    assert len(set(seen)) == 45
    school = httpx.get(f"{site.url}/search", params={"kw": "中学 智慧黑板"}).text
    expected = [n for n in site.notices if "中学" in n.title and "智慧黑板" in n.title]
    assert f"<b>{len(expected)}</b>" in school
    since = (MORNING - timedelta(days=2)).date()
    recent = httpx.get(f"{site.url}/search", params={"since": since.isoformat()}).text
    assert 0 < int(re.findall(r"<b>(\d+)</b>", recent)[0]) < 45
    assert httpx.get(f"{site.url}/search?since=gestern").status_code == 400


def test_the_same_seed_gives_the_same_notices() -> None:
    first, second, other = ProcurementSite(seed=7), ProcurementSite(seed=7), ProcurementSite(seed=8)
    assert first.fill(10, MORNING) == second.fill(10, MORNING) != other.fill(10, MORNING)


def test_an_unchanged_page_answers_304_until_something_is_published(site: ProcurementSite) -> None:
    site.publish(NOTICE)
    first = httpx.get(f"{site.url}/search")
    by_tag = {"If-None-Match": first.headers["etag"]}
    by_time = {"If-Modified-Since": first.headers["last-modified"]}
    assert httpx.get(f"{site.url}/search", headers=by_tag).status_code == 304
    assert httpx.get(f"{site.url}/search", headers=by_time).status_code == 304
    site.publish(NOTICE)
    assert httpx.get(f"{site.url}/search", headers=by_tag).status_code == 200
    assert httpx.get(f"{site.url}/search", headers=by_time).status_code == 200


def test_too_fast_a_poller_is_told_to_wait() -> None:
    with ProcurementSite(limit=2, window=1.0) as site:
        codes = [httpx.get(f"{site.url}/search") for _ in range(3)]
        assert [answer.status_code for answer in codes] == [200, 200, 429]
        assert codes[2].headers["retry-after"] == "1"
        time.sleep(1.0)
        assert httpx.get(f"{site.url}/search").status_code == 200


def test_faults_are_switched_from_outside(site: ProcurementSite) -> None:
    def fault(**wanted: object) -> None:
        assert httpx.post(f"{site.url}/_control/faults", json=wanted).status_code == 200

    site.publish(NOTICE)
    fault(failures=2)
    assert [httpx.get(f"{site.url}/search").status_code for _ in range(3)] == [500, 500, 200]
    fault(delay=0.3)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{site.url}/search", timeout=0.1)
    fault(delay=0, malformed=True, charset="gb18030")
    page = httpx.get(f"{site.url}/search")
    assert "charset" not in page.headers["content-type"]
    assert "时间待定" in page.content.decode("gb18030")
    assert httpx.post(f"{site.url}/_control/faults", json={"mood": "bad"}).status_code == 422


def test_notices_are_published_over_http(site: ProcurementSite) -> None:
    answer = httpx.post(
        f"{site.url}/_control/notices",
        json={"title": "南京市图书馆书架采购", "buyer": "南京市图书馆", "published": "2026-03-02T10:00:00+08:00"},
    )
    assert answer.status_code == 201
    assert "南京市图书馆书架采购" in httpx.get(answer.json()["url"]).text
    assert httpx.get(f"{site.url}/_control/notices").json()["notices"][0]["buyer"] == "南京市图书馆"
    without_zone = {"title": "a", "buyer": "b", "published": "2026-03-02T10:00:00"}
    assert httpx.post(f"{site.url}/_control/notices", json=without_zone).status_code == 422
    assert httpx.post(f"{site.url}/_control/notices", content=b"[1").status_code == 422


def test_a_site_keeps_its_port_and_notices_over_a_restart(site: ProcurementSite) -> None:
    site.publish(NOTICE)
    url = site.url
    site.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/search")
    site.start()
    assert NOTICE.title in httpx.get(f"{url}/search").text
    with pytest.raises(OSError, match="in use"):
        ProcurementSite(site.port).start()
