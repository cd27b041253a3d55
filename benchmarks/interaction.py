"""How long a person waits in the explorer: from moving a slider to the mask, from a click to the trace.

``python -m benchmarks.interaction`` writes a recording of 10 GB, drives the explorer in a headless Chromium, and prints median and worst.
Times are those of the browser: from the event until what it asked for is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.children import ROOT, anonymous_bytes
from benchmarks.interaction_scene import CENTRES, make_large_recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

__all__ = ["main", "measure"]

_LISTEN = """
(kind) => {
  const plot = Bokeh.documents[0].get_model_by_name(kind === "mask" ? "image" : "traces");
  const data = plot.renderers[kind === "mask" ? 1 : 0].data_source;
  window.waited = new Promise((resolve, reject) => {
    let begin = performance.now();
    document.addEventListener("pointerup", () => { begin = performance.now(); }, {capture: true, once: true});
    setTimeout(() => reject(`no ${kind} came`), 20000);
    const heard = () => {
      if (kind === "trace" && data.data.xs.length === 0) return;
      data.properties.data.change.disconnect(heard);
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin), 0));
    };
    data.properties.data.change.connect(heard);
  });
}
"""
_SLIDE = """
(level) => {
  [...Bokeh.documents[0]._all_models.values()].find((one) => one.title === "level (counts)").value = level;
}
"""
_PLACE = """
([y, x]) => {
  const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name("image"));
  const box = view.el.getBoundingClientRect();
  return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)];
}
"""


def measure(page: Page, *, repeats: int) -> dict[str, list[float]]:
    """Return the waits in milliseconds, by what was done, on a page on which cells have been found."""
    page.get_by_label("method").select_option("value")
    page.wait_for_timeout(1500)
    masks, traces = [], []
    for number in range(repeats):
        page.evaluate(_LISTEN, "mask")
        # each level leaves out other cells: a mask that stays as it is is not sent
        page.evaluate(_SLIDE, 440.0 + 4.0 * number)
        masks.append(page.evaluate("() => window.waited"))
        page.wait_for_timeout(300)
    page.evaluate(_SLIDE, 350.0)
    page.wait_for_timeout(1500)
    for number in range(repeats):
        place = page.evaluate(_PLACE, CENTRES[(7 * number + 3) % len(CENTRES)])
        page.evaluate(_LISTEN, "trace")
        page.mouse.click(*place)
        traces.append(page.evaluate("() => window.waited"))
        page.wait_for_timeout(600)
    return {"slider to mask": masks, "click to trace": traces}


def summary(waits: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return median and worst of each, milliseconds."""
    return [
        {
            "what": name,
            "median_ms": round(statistics.median(times)),
            "worst_ms": round(max(times)),
            "times_ms": [round(one) for one in times],
        }
        for name, times in waits.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "roitrace-interaction")
    parser.add_argument("--keep", action="store_true", help="keep the recording")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    given = parser.parse_args(arguments)
    store = given.scratch / "large.zarr"
    if not store.exists():
        given.scratch.mkdir(parents=True, exist_ok=True)
        make_large_recording(store, given.gigabytes * 1e9)
    try:
        result = _run(store, given.scratch, given.repeats)
    finally:
        if not given.keep:
            shutil.rmtree(given.scratch)
    for row in result["rows"]:
        print(f"{row['what']}: median {row['median_ms']} ms, worst {row['worst_ms']} ms")
    print(
        f"peak memory of the server: {result['peak_bytes'] / 1e6:.0f} MB; recording {result['bytes'] / 1e9:.1f} GB"
    )
    given.output.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y-%m-%d")
    file = given.output / f"{stamp}-interaction.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")


def _run(store: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    import roitrace as rt  # noqa: PLC0415

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    recording = rt.open_recording(store)
    with rt.explore(store, output=scratch) as explorer, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        ended, peaks = threading.Event(), [0]
        watcher = threading.Thread(target=_watch, args=(ended, peaks))
        watcher.start()
        page.goto(explorer.url)
        page.wait_for_function("() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        _wait_for_cells(explorer)
        waits = measure(page, repeats=repeats)
        browser.close()
        ended.set()
        watcher.join()
    return {
        "bytes": int(recording.nbytes),
        "shape": list(recording.shape),
        "processors": os.cpu_count(),
        "load": [round(one, 1) for one in os.getloadavg()],
        "peak_bytes": max(peaks),
        "rows": summary(waits),
    }


def _watch(ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(0.02):
        peaks[0] = max(peaks[0], anonymous_bytes("self"))


def _wait_for_cells(explorer: Any) -> None:
    while not len(explorer.rois):
        time.sleep(0.2)


if __name__ == "__main__":
    main()
