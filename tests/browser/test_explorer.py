from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from benchmarks.interaction_scene import CENTRES, make_large_recording

import roitrace as rt
from tests.browser.explorer_page import ExplorerPage, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser

MOST_MEMORY = 500_000_000
Y, X = CENTRES[12]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_large_recording(tmp_path_factory.mktemp("large") / "large.zarr", 2.02e9)


def test_from_opening_to_export_on_two_gigabytes(
    visit: Callable[..., Visit], large: Path, tmp_path: Path
) -> None:
    recording = rt.open_recording(large)
    assert recording.nbytes > 2e9
    with serving(large, tmp_path) as server:
        seen = visit(server.url)
        page = ExplorerPage(seen.page)
        page.until(lambda: page.outlines()["accepted"] == 100)
        # another threshold, cleaned: the mask and the cells follow
        seen.page.get_by_label("method").select_option("value")
        page.until(lambda: "level (counts)" in page.text())
        seen.page.get_by_label("opening (px)").fill("2")
        seen.page.keyboard.press("Enter")
        page.until(lambda: page.outlines()["accepted"] == 100)
        # a click gives the trace
        page.click(X, Y)
        page.until(lambda: page.outlines()["chosen"] == 1 and page.traces())
        page.press("median")
        page.until(lambda: len(page.traces()) == 2)
        seen.page.keyboard.press("r")
        page.until(lambda: page.outlines() == {"rejected": 1, "accepted": 99, "chosen": 1})
        page.until(lambda: "149 0 % no" in page.text())
        # frames and play
        seen.page.keyboard.press(" ")
        page.until(lambda: "pause" in page.text() and not re.search(r" frame: 0 ", page.text()))
        seen.page.keyboard.press(" ")
        # export, and what is written is right
        page.press("export")
        page.until(lambda: (tmp_path / "large.yaml").exists() and "wrote" in page.text())
        seen.check_quiet()
        peak = server.peak
    rois = rt.read_rois(tmp_path / "large.rois.zarr")
    assert len(rois) == 100
    assert int((~rois.accepted).sum()) == 1
    mask = tifffile.imread(tmp_path / "large.mask.tif") > 0
    np.testing.assert_array_equal(mask, rois.to_mask())
    assert mask[Y, X]
    traces = rt.load(tmp_path / "large.traces.zarr")["traces"]
    expected = rt.extract(recording, rois[[12]], "median").compute()["median"]
    np.testing.assert_array_equal(traces["median"].values[12], expected.values[0])
    print(f"peak memory of the server: {peak / 1e6:.0f} MB")
    assert peak < MOST_MEMORY


PAYLOADS = (
    "<img src=x onerror=window.hurt=1>",
    "<script>window.hurt=1</script>",
    '"><svg onload=window.hurt=1>',
    "$$\\href{javascript:window.hurt=1}{a}$$",
    "{{7*7}}@name{safe}%{x}",
)


def test_what_users_typed_never_runs(visit: Callable[..., Visit], tmp_path: Path) -> None:
    movie = rt.simulate(tmp_path / "mo <b>vie.zarr", shape=(40, 64, 64), n_rois=4, seed=2)
    pixels = [[(y, 5 + 10 * n) for y in range(5, 12)] for n in range(len(PAYLOADS))]
    rois = rt.Rois.from_pixels(pixels, shape=(64, 64), names=PAYLOADS)
    rt.save({"rois": rois.reject(0, PAYLOADS[0])}, tmp_path / "rois.zarr")
    recording = rt.open_recording(movie).assign_attrs(notes=PAYLOADS[1], long_name=PAYLOADS[0])
    with rt.explore(
        recording, rois=tmp_path / "rois.zarr", output=tmp_path / PAYLOADS[0].replace("/", "")
    ) as explorer:
        places = [(float(recording.x[5 + 10 * n]), float(recording.y[8])) for n in range(len(PAYLOADS))]
        seen = visit(explorer.url)
        page = ExplorerPage(seen.page)
        page.until(lambda: page.outlines()["accepted"] == len(PAYLOADS) - 1)
        for n in range(len(PAYLOADS)):
            page.click(*places[n], shift=n > 0)
            page.until(lambda n=n: page.outlines()["chosen"] == n + 1)
        page.until(lambda: len(page.traces()) == len(PAYLOADS))
        for name in PAYLOADS:
            page.until(lambda name=name: page.text().count(" ".join(name.split())) >= 2)
        seen.page.get_by_placeholder("RoiSet.zip").fill(PAYLOADS[0])
        page.press("import")
        page.until(
            lambda: f"no file {PAYLOADS[0]}" in page.text() or PAYLOADS[0] in page.text().split("stop")[0]
        )
        assert seen.page.evaluate("() => window.hurt") is None
        assert seen.page.evaluate("() => document.querySelectorAll('img, svg, b b').length") == 0
        seen.check_quiet()


def test_a_page_that_is_loaded_again_finds_everything(visit: Callable[..., Visit], tmp_path: Path) -> None:
    movie = rt.simulate(
        tmp_path / "movie.zarr", shape=(60, 64, 64), n_rois=8, seed=4, frame_rate=10, pixel_size=1.2
    )
    with rt.explore(movie, output=tmp_path) as explorer:
        seen = visit(explorer.url)
        page = ExplorerPage(seen.page)
        page.until(lambda: page.outlines()["accepted"] > 3)
        y, x = explorer.rois.coordinates(0).to_yx()[0]
        page.click(1.2 * x, 1.2 * y)
        page.until(lambda: len(page.traces()) == 1)
        page.press("ΔF/F")
        page.press("reject")
        page.press("draw box")
        page.drag((2.0, 60.0), (12.0, 70.0))
        page.until(lambda: "drawn 1" in explorer.rois.names)
        page.until(lambda: "drawn 1" in page.text() and len(page.traces()) == 1)
        before = page.outlines(), page.traces()
        seen.page.reload()
        page = ExplorerPage(seen.page)
        page.until(lambda: (page.outlines(), page.traces()) == before)
        assert "cell drawn 1" in page.text()
        assert not explorer.rois.accepted[0]
        # nothing overlaps on a small projector
        seen.page.set_viewport_size({"width": 1024, "height": 768})
        page.until(
            lambda: (
                _right_of(seen, "0 to 1") < seen.page.get_by_role("button", name="accept").bounding_box()["x"]
            )
        )
        seen.page.set_viewport_size({"width": 1280, "height": 800})
        # a second page shows the same, and follows
        other = ExplorerPage(visit(explorer.url).page)
        page.press("undo")
        other.until(lambda: other.outlines()["chosen"] == 0)
        assert "drawn 1" not in explorer.rois.names
        seen.check_quiet()


def test_a_wrong_link_says_why(visit: Callable[..., Visit], tmp_path: Path) -> None:
    movie = rt.simulate(tmp_path / "movie.zarr", shape=(20, 32, 32), n_rois=1, seed=1)
    with rt.explore(movie) as explorer:
        seen = visit(explorer.url[:-1] + "?")
        assert "lacks the right token" in seen.page.content()


def test_it_shows_in_a_frame_as_notebooks_do(visit: Callable[..., Visit], tmp_path: Path) -> None:
    movie = rt.simulate(tmp_path / "movie.zarr", shape=(40, 64, 64), n_rois=4, seed=2)
    with rt.explore(movie) as explorer, _notebook(explorer._repr_html_()) as address:
        seen = visit(address)
        inside = seen.page.frame_locator("iframe")
        inside.get_by_role("button", name="draw outline").wait_for(timeout=30_000)
        assert [one for one in seen.complaints if "frame" in one.lower()] == []


def _right_of(seen: Visit, button: str) -> float:
    box = seen.page.get_by_role("button", name=button, exact=True).bounding_box()
    assert box is not None
    return box["x"] + box["width"]


@contextmanager
def _notebook(cell: str) -> Iterator[str]:
    """Serve a page with a cell's output, from another port and another name than the explorer's."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><link rel=icon href=data:,>{cell}".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
