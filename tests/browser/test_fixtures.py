"""The watch over pages sees what it is meant to see."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_a_request_and_a_complaint_are_noticed(visit, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><img src='https://example.org/a.png'><script>console.error('no')</script>", "utf-8"
    )
    one = visit(page.as_uri())
    one.page.wait_for_load_state("networkidle")
    assert one.requests == ["https://example.org/a.png"]
    assert "no" in one.complaints
    with pytest.raises(AssertionError):
        one.check_quiet()


def test_a_still_page_is_quiet(visit, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><link rel=icon href=data:,><p>still</p>", "utf-8")
    visit(page.as_uri()).check_quiet()
