"""The picture of the explorer in the README: ``python -m benchmarks.explorer_picture docs/figures/explorer.png``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import roitrace as rt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate a recording, find its cells, choose some, and take the picture."""
    from PIL import Image  # noqa: PLC0415
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    given = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        store = rt.simulate(
            Path(folder) / "movie.zarr",
            shape=(1800, 256, 256),
            n_rois=70,
            seed=11,
            frame_rate=15,
            pixel_size=1.1,
        )
        with rt.explore(str(store), output="/data/results") as explorer, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": given.width, "height": given.height})
            page.goto(explorer.url)
            page.wait_for_function(
                "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
            )
            page.get_by_label("closing (px)").fill("2")
            page.keyboard.press("Enter")
            page.get_by_label("split").select_option(label="by shape")
            page.wait_for_timeout(4000)
            for key in ("n", "n", "n", "r", "n", "n", "n", "n", "n"):
                page.keyboard.press(key)
                page.wait_for_timeout(300)
            page.get_by_role("button", name="median").click()
            page.get_by_role("button", name="ΔF/F").click()
            page.wait_for_timeout(4000)
            page.screenshot(path=given.picture)
            browser.close()
    # few colours are enough, and a small file
    Image.open(given.picture).convert("RGB").quantize(128).save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
