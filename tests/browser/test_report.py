"""The report in a browser: it opens without a word to anyone, and what it shows can be moved, sorted and chosen."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from tests.view.report.results import make_results

pytestmark = pytest.mark.browser

EVIL = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=2'>"
IMAGE = "<img src=x onerror='window.pwned=3'>"
SOURCE = "(name) => [...Bokeh.documents[0]._all_models.values()].find((one) => one.name === name)"


def open_report(visit, results, tmp_path, **options):
    one = visit(rt.report(results, tmp_path / "report.html", **options).as_uri())
    one.page.wait_for_selector("body[data-ready]", timeout=60_000)
    return one


def ask(one, name, expression):
    """Evaluate an expression in JavaScript of the Bokeh model of a name, called `it`."""
    return one.page.evaluate(f"const it = ({SOURCE})({name!r}); {expression}")


def until(one, name, expression):
    """Wait until an expression holds; playwright's own way evaluates texts, which the page forbids."""
    end = time.monotonic() + 30
    while not ask(one, name, expression):
        assert time.monotonic() < end, expression
        one.page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def results():
    return make_results()


def test_it_opens_alone_and_without_complaint(visit, results, tmp_path):
    movie = np.random.default_rng(0).integers(0, 500, (300, 40, 60)).astype(np.uint16)
    recording = xr.DataArray(movie, dims=("time", "y", "x"), coords=results["rois"].frame.coords())
    one = open_report(visit, results, tmp_path, recording=recording)
    one.page.wait_for_timeout(300)
    one.check_quiet()
    assert one.requests == []
    assert ask(one, "pixels0", "it.data.image[0].shape") == [40, 60]
    assert ask(one, "pixels matrix", "it.data.image[0].shape") == [25, 300]
    assert "25 pixels" in one.page.locator("#pixel-words").inner_text()
    # the pixels follow the cell that is chosen, and choosing pixels chooses the cell
    before = ask(one, "pixels matrix", "Array.from(it.data.image[0])")
    one.page.locator("#cells-table tbody tr", has_text="c").first.click()
    until(one, "pixels matrix", "document.getElementById('pixel-words').textContent.startsWith('Cell c')")
    until(one, "pixels matrix", f"it.data.image[0][0] !== {before[0]} || it.data.image[0][1] !== {before[1]}")
    shown = np.array(ask(one, "pixels matrix", "Array.from(it.data.image[0])")).reshape(25, 300)
    own = movie.reshape(300, -1)[:, results["rois"].row(2)].T
    np.testing.assert_allclose(shown, own, atol=1)
    one.page.select_option("#pixel-cell", label="b")
    until(one, "cells", "it.selected.indices[0] === 1")
    assert one.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_images_come_as_they_were(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    shown = np.array(ask(one, "pixels0", "Array.from(it.data.image[0])")).reshape(40, 60)
    np.testing.assert_allclose(shown, results["projections"]["mean"].values, atol=0.1)


def test_the_threshold_redraws_the_mask(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    drawn = "Array.from(it.data.image[0]).reduce((sum, bit) => sum + bit, 0)"
    one.page.select_option("#mask", "stored")
    assert ask(one, "mask", drawn) == int(results["mask"].sum())
    level = one.page.locator("#level")
    level.fill("20")
    assert one.page.input_value("#mask") == "level"
    counts = [ask(one, "mask", drawn)]
    for step in ("500", "970"):
        level.fill(step)
        counts.append(ask(one, "mask", drawn))
    assert counts[0] > counts[1] > counts[2] > 0
    told = one.page.locator("#level + output").inner_text()
    assert told.startswith("> ")
    assert told.endswith(f"{100 * counts[2] / 2400:.1f} % of the frame")
    one.page.select_option("#mask", "none")
    assert ask(one, "mask", drawn) == 0
    one.check_quiet()


def test_contrast_moves_and_its_ends_never_cross(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    before = ask(one, "contrast0", "[it.low, it.high]")
    one.page.locator("input[data-image='0'][data-end='bright']").fill("1000")
    after = ask(one, "contrast0", "[it.low, it.high]")
    assert after[0] == pytest.approx(before[0], abs=1)
    assert after[1] > before[1]
    one.page.locator("input[data-image='0'][data-end='dark']").fill("1000")
    low, high = ask(one, "contrast0", "[it.low, it.high]")
    assert low < high


def test_the_table_sorts_finds_and_selects(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    cells = one.page.locator("#cells-table tbody tr td:first-child")
    one.page.locator("#cells-table th button", has_text="peak SNR").click()
    order = np.argsort(-results["quality"]["peak_snr"].values)
    assert cells.all_inner_texts() == [results["rois"].names[number] for number in order]
    one.page.locator("#cells-table th button", has_text="peak SNR").click()
    assert cells.all_inner_texts() == [results["rois"].names[number] for number in order[::-1]]
    one.page.fill("#find", "b")
    assert cells.all_inner_texts() == ["b"]
    one.page.locator("#cells-table tbody tr").click()
    assert ask(one, "cells", "Array.from(it.selected.indices)") == [1]
    one.page.locator("#selected", has_text="Cell b").wait_for()  # its traces are unpacked first
    one.page.fill("#find", "")
    one.page.locator("#cells-table tbody tr", has_text="c").first.click(modifiers=["Shift"])
    assert sorted(ask(one, "cells", "Array.from(it.selected.indices)")) == [1, 2]
    assert one.page.locator("tr.chosen").count() == 2
    one.check_quiet()


def test_a_click_on_a_cell_draws_its_traces(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    ask(one, "cells", "it.selected.indices = []")
    # the middle of the third square, as a place on the screen
    place = one.page.evaluate(
        """() => {
            const view = [...Bokeh.index.roots].find((one) => one.model.name === "image0");
            const frame = view.canvas_view.el.getBoundingClientRect();
            return [frame.left + view.frame.x_scale.compute(24 * 1.5), frame.top + view.frame.y_scale.compute(8 * 1.5)];
        }"""
    )
    one.page.mouse.click(*place)
    until(one, "raw lines", "it.data.xs.length > 0")
    assert ask(one, "cells", "Array.from(it.selected.indices)") == [2]
    assert "Cell c" in one.page.locator("#selected").inner_text()
    assert one.page.locator("tr.chosen td").first.inner_text() == "c"
    drawn = np.array(ask(one, "raw lines", "Array.from(it.data.ys[it.data.ys.length - 1])"))
    noise = float(results["quality"]["noise"][2])
    np.testing.assert_allclose(drawn, results["traces"]["mean"].values[2], atol=noise / 10)
    assert ask(one, "normalized lines", "it.data.ys.length") == 1
    assert len(ask(one, "pairs", "Array.from(it.data.x)")) == 250
    one.page.get_by_role("button", name="median", exact=True).click()
    assert ask(one, "raw lines", "it.data.ys.length") == 1
    one.check_quiet()


def test_what_users_wrote_never_runs(visit, tmp_path):
    results = make_results((EVIL, "b", "c"), reasons={"c": EVIL})
    results["traces"].attrs["no_neuropil"] = EVIL
    results["traces"]["mean"].attrs["units"] = EVIL
    results["projections"] = results["projections"].rename(mean=IMAGE)
    results["projections"][IMAGE].attrs["units"] = EVIL
    results["quality"] = results["quality"].rename(skewness=IMAGE)
    results["quality"]["noise"].attrs["long_name"] = EVIL
    movie = np.ones((5, 40, 60), np.uint16)
    recording = xr.DataArray(movie, dims=("time", "y", "x"), coords=results["rois"].frame.coords())
    store = rt.save(results, tmp_path / "evil.zarr", parameters={EVIL: EVIL}, source=EVIL)
    one = open_report(visit, store, tmp_path, recording=recording)
    for row in (0, 1):
        one.page.locator("#cells-table tbody tr").nth(row).click()
    assert EVIL in one.page.locator("#pixel-cell").inner_text()
    one.page.check("#all-columns")
    box = one.page.locator("#maps figure").first.bounding_box()
    for step in range(0, 300, 15):
        one.page.mouse.move(box["x"] + 60 + step, box["y"] + 90)
    one.page.wait_for_timeout(200)
    assert one.page.evaluate("window.pwned") is None
    assert one.page.locator("img").count() == 0
    assert EVIL in one.page.locator("#cells-table").inner_text()
    one.check_quiet()


def test_a_script_that_got_in_would_not_run(visit, results, tmp_path):
    page = rt.report(results, tmp_path / "report.html")
    text = page.read_text("utf-8")
    page.write_text(text.replace("<main>", "<main><script>window.pwned = 1</script>", 1), "utf-8")
    one = visit(page.as_uri())
    one.page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert one.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in line for line in one.complaints)


@pytest.mark.parametrize(
    "groups",
    [
        ["projections"],
        ["mask"],
        ["traces"],
        ["mean"],
        ["rois"],
        ["quality"],
        ["normalized"],
        ["rois", "mean"],
        ["rois", "normalized"],
    ],
)
def test_parts_of_results_open_too(groups, visit, results, tmp_path):
    alone = {"traces": results["traces"].drop_vars("median")}
    parts = [alone if name == "mean" else {name: results[name]} for name in groups]
    one = open_report(visit, {name: one for part in parts for name, one in part.items()}, tmp_path)
    rows = one.page.locator("#cells-table tbody tr")
    for number in range(rows.count()):
        rows.nth(number).click(modifiers=["Shift"] if number else [])
    if rows.count():
        assert one.page.locator("tr.chosen").count() == rows.count() == 3
    one.page.wait_for_timeout(100)
    assert one.page.locator(".problem").count() == 0
    one.check_quiet()


def test_extremes_stand_for_long_traces(visit, tmp_path, monkeypatch):
    """Where room is short, the first cells keep every frame, others the extremes of stretches."""
    monkeypatch.setattr("roitrace.view.report.report._LARGEST", 0)
    results = make_results(("a", "b", "c"), n_frames=60_000)
    one = open_report(visit, {name: results[name] for name in ("rois", "traces", "normalized")}, tmp_path)
    by_cell = {}
    for name in ("a", "b", "c"):
        one.page.locator("#cells-table tbody tr", has_text=name).first.click()
        until(one, "cells", f"document.getElementById('selected').textContent.startsWith('Cell {name}')")
        drawn = ask(one, "raw lines", "Array.from(it.data.ys[it.data.ys.length - 1])")
        by_cell[name] = (one.page.locator("#selected").inner_text(), np.array(drawn, dtype=float))
    kinds = {text.split(": ")[1].split(" of")[0] for text, _ in by_cell.values()}
    assert kinds == {"every frame", "minimum and maximum"}
    for number, (_, drawn) in enumerate(by_cell.values()):
        trace = results["traces"]["mean"].values[number]
        assert len(drawn) < 5000
        assert (np.nanmin(drawn), np.nanmax(drawn)) == pytest.approx((trace.min(), trace.max()), abs=0.2)


def test_paper_gets_pictures_of_the_plots(visit, results, tmp_path):
    one = open_report(visit, results, tmp_path)
    assert len(one.page.pdf(format="A4")) > 50_000
    printed = one.page.locator("img.printed")
    assert printed.count() == one.page.locator("[data-root-id]").count() > 4
    one.page.emulate_media(media="print")
    assert printed.first.is_visible()
    assert not one.page.locator("[data-root-id]").first.is_visible()
    assert not one.page.locator(".controls").first.is_visible()
    one.check_quiet()
