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
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.children import ROOT, anonymous_bytes
from benchmarks.interaction_scene import CENTRES, make_large_recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

__all__ = ["main", "measure"]

_WAIT = """
([kind, go]) => new Promise((resolve) => {
  const document = Bokeh.documents[0];
  const plot = document.get_model_by_name(kind === "mask" ? "image" : "traces");
  const source = plot.renderers[kind === "mask" ? 1 : 0].data_source;
  const begin = performance.now();
  const heard = () => {
    if (kind === "trace" && source.data.xs.length === 0) return;
    source.properties.data.change.disconnect(heard);
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin), 0));
  };
  source.properties.data.change.connect(heard);
  if (kind === "mask") {
    [...document._all_models.values()].find((one) => one.title === "level (counts)").value = go;
  } else {
    const image = Bokeh.index.find_one(document.get_model_by_name("image"));
    const box = image.el.getBoundingClientRect();
    const place = {
      clientX: box.left + image.frame.x_scale.compute(go[1]), clientY: box.top + image.frame.y_scale.compute(go[0]),
      bubbles: true, composed: true, pointerId: 1, isPrimary: true, button: 0, pointerType: "mouse",
    };
    const area = image.shadow_el.elementFromPoint(place.clientX, place.clientY);
    area.dispatchEvent(new PointerEvent("pointerdown", {...place, buttons: 1}));
    area.dispatchEvent(new PointerEvent("pointerup", {...place, buttons: 0}));
  }
})
"""


def measure(store: Path, page: Page, *, repeats: int) -> dict[str, list[float]]:
    """Return the waits in milliseconds, by what was done, on a page that shows `store` with its cells found."""
    del store
    page.get_by_label("method").select_option("value")
    page.wait_for_timeout(1500)
    waits: dict[str, list[float]] = {"slider to mask": [], "click to trace": []}
    for number in range(repeats):
        waits["slider to mask"].append(page.evaluate(_WAIT, ["mask", 240.0 + 2.0 * number]))
        page.wait_for_timeout(200)
    for number in range(repeats):
        waits["click to trace"].append(
            page.evaluate(_WAIT, ["trace", CENTRES[(7 * number + 3) % len(CENTRES)]])
        )
        page.wait_for_timeout(400)
    return waits


def summary(waits: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return median and worst of each, milliseconds; the first of each is told apart."""
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
        page.goto(explorer.url)
        page.wait_for_function("() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        _wait_for_cells(explorer)
        waits = measure(store, page, repeats=repeats)
        browser.close()
        peak = anonymous_bytes("self")
    return {
        "bytes": int(recording.nbytes),
        "shape": list(recording.shape),
        "processors": os.cpu_count(),
        "peak_bytes": peak,
        "rows": summary(waits),
    }


def _wait_for_cells(explorer: Any) -> None:
    import time  # noqa: PLC0415

    while not len(explorer.rois):
        time.sleep(0.2)


if __name__ == "__main__":
    main()
