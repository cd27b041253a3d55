"""The benchmarks run, check what they time, and write what they found. Nothing here looks at how long anything takes."""

from __future__ import annotations

import json
import math
import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from benchmarks import tracked
from benchmarks.bare import BareStore, bare_cold_read, bare_decode, drop_cache, in_memory_decode, load_encoded
from benchmarks.children import anonymous_bytes, first_call_seconds, peak_memory
from benchmarks.expected import expected_results
from benchmarks.measure import BARE, IN_MEMORY, Contender, Row, alternate, ratio
from benchmarks.ours import ASKED, extract_store, rois_on
from benchmarks.profile_slab import PARTS, REST
from benchmarks.profile_slab import main as profile
from benchmarks.report import (
    as_document,
    as_markdown,
    as_short,
    keep_only,
    newest_results,
    update_readme,
    write,
)
from benchmarks.run import ROWS, main
from benchmarks.workloads import SCALES, Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = SCALES["quick"]
FROZEN_FRAMES = [480716224, 3026727373]
FROZEN_PIXELS = 4029382591
ALONE = {"memory", "first_call"}
"""Rows whose fresh processes take long; the processes are tested by themselves."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("benchmarks"))


def test_quick_run_of_every_row(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.json"
    rows = [name for name in ROWS if name not in ALONE]
    assert main(["--quick", "--rows", *rows, "--folder", str(files.folder), "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["scale"] == "quick"
    assert document["command"].startswith("python -m benchmarks.run --quick --rows default")
    assert {"commit", "date", "machine", "versions", "rows", "threads", "repeats"} <= document.keys()
    assert {"numba", "numpy", "python", "roitrace", "zarr"} <= document["versions"].keys()
    measured = {row["what"]: row for row in document["rows"]}
    assert len(measured) == len(document["rows"]) >= len(rows)
    unmeasured = [row["key"] for row in document["rows"] if row["value"] is None]
    assert unmeasured == ["suite2p"]
    assert all(row["holds"] is None for row in document["rows"]), "tiny workloads prove nothing"
    of_default = measured["four of 30 ROIs / bare decode, default store"]
    assert of_default["most"] == 2.4
    assert of_default["timings"].keys() == {BARE, IN_MEMORY, *ASKED}
    table = out.with_suffix(".md").read_text()
    assert table == capsys.readouterr().out
    assert all(f"| {what} |" in table for what in measured)
    assert "bash benchmarks/peers.sh" in table
    assert not list(files.folder.glob("scratch-*"))


def test_a_failing_row_does_not_lose_the_others(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(bench: object) -> list[Row]:  # noqa: ARG001
        raise AssertionError("mean differs from NumPy")

    monkeypatch.setitem(ROWS, "default", wrong)
    monkeypatch.setitem(ROWS, "numpy", lambda _: [Row("numpy", "good", 1.0)])
    out = tmp_path / "results.json"
    command = ["--quick", "--rows", "default", "numpy", "--folder", str(files.folder), "--out", str(out)]
    assert main(command) == 1
    failed, good = json.loads(out.read_text())["rows"]
    assert (failed["failed"], failed["notes"]) == (True, ["AssertionError: mean differs from NumPy"])
    assert good["value"] == 1.0


def test_workload_a_is_frozen() -> None:
    workload = SCALES["full"].a
    frames = [zlib.crc32(workload.scenes[0].frame(number).tobytes()) for number in (0, 4095)]
    pixels = np.concatenate(workload.roi_pixels.pixels)
    assert frames == FROZEN_FRAMES
    assert zlib.crc32(pixels.astype("<i8").tobytes()) == FROZEN_PIXELS
    sizes = [len(one) for one in workload.roi_pixels.pixels]
    assert len(sizes) == 500
    assert 145 < np.mean(sizes) < 155
    covered = np.unique(pixels, axis=0)
    assert 0.24 < len(covered) / (512 * 512) < 0.26
    assert len(covered) < len(pixels), "they overlap"


def test_stores_compress_as_the_workload_says(files: Files) -> None:
    store = BareStore.of(files.store(QUICK.a))
    assert 1.7 < store.decoded_bytes / store.encoded_bytes < 1.95


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16"])
def test_workloads_hold_what_their_dtype_is_for(dtype: str) -> None:
    workload = {"float32": QUICK.d, "int16": QUICK.e, "uint16": QUICK.a}[dtype]
    frame = workload.scenes[0].frame(5)
    assert frame.dtype == dtype
    assert np.isnan(frame).any() == (dtype == "float32")
    assert (frame < 0).any() == (dtype == "int16")


def test_channels_differ() -> None:
    first, second = (scene.frame(0) for scene in QUICK.two_channels.scenes)
    assert not np.array_equal(first, second)


def test_files_are_written_once(files: Files) -> None:
    path = files.store(QUICK.a)
    before = (path / "zarr.json").stat().st_mtime_ns
    assert files.store(QUICK.a) == path
    assert (path / "zarr.json").stat().st_mtime_ns == before
    assert not list(files.folder.glob("*/partial-*"))


@pytest.mark.parametrize("layout", ["default", "full_frame", "time_last"])
def test_bare_decode_covers_the_store(files: Files, layout: str) -> None:
    store = BareStore.of(files.store(QUICK.a, layout))
    assert store.decoded_bytes == math.prod(QUICK.a.shape) * 2
    encoded = load_encoded(store)
    assert sum(len(data) for file in encoded for data in file) == store.encoded_bytes
    bare_decode(store, 2)
    in_memory_decode(store, encoded, 2)
    drop_cache(store.files)
    bare_cold_read(store, 2)


def test_bare_decode_reads_what_it_says(files: Files, tmp_path: Path) -> None:
    store = BareStore.of(files.store(QUICK.a))
    cut = tmp_path / "cut"
    cut.write_bytes(store.files[0].read_bytes()[:1000])
    damaged = BareStore((cut,), store.spans[:1], store.chunk, store.shape, store.chunk_bytes)
    with pytest.raises(OSError, match="cut short"):
        bare_decode(damaged, 1)


def test_decoded_samples_counts_touched_chunks(files: Files) -> None:
    store = BareStore.of(files.store(QUICK.a))
    one = [np.array([[3, 3], [4, 70]])]
    assert store.decoded_samples(one) == 2 * 512 * 64 * 64
    assert store.decoded_samples(one, slice(255, 257)) == 2 * 512 * 64 * 64
    assert store.decoded_samples(one, slice(0, 10)) == 2 * 256 * 64 * 64


@pytest.mark.parametrize("name", ["mean", "median", "trimmed_mean", "weighted_mean"])
def test_a_wrong_trace_is_noticed(files: Files, name: str) -> None:
    store, expected = files.store(QUICK.a), files.expected(QUICK.a)
    result = extract_store(store, rois_on(QUICK.a, store), "four and projections", 2)
    expected.check(result)
    step = 1e-9 if name == "weighted_mean" else 0.0
    result[name][7, 99] = np.nextafter(result[name][7, 99], np.inf) + step
    with pytest.raises(AssertionError, match=f"{name} differs from NumPy at 1 of .* places, first at"):
        expected.check(result)


def test_a_wrong_projection_and_shape_are_noticed(files: Files) -> None:
    store, expected = files.store(QUICK.a), files.expected(QUICK.a)
    result = extract_store(store, rois_on(QUICK.a, store), "four and projections", 2)
    with pytest.raises(AssertionError, match="has shape"):
        expected.check(result.isel(time=slice(1, None)))
    result["projection_max"][0, 0] += 1
    with pytest.raises(AssertionError, match="projection max"):
        expected.check(result)


def test_expected_results_are_scipys() -> None:
    scene, rois = QUICK.d.scenes[0], QUICK.d.roi_pixels
    block = scene.read(slice(0, 40), slice(0, 128), slice(0, 128))
    found = expected_results([block[:30], block[30:]], rois)
    for number, (pixels, weights) in enumerate(zip(rois.pixels, rois.weights, strict=True)):
        matrix = block[:, pixels[:, 0], pixels[:, 1]].astype(np.float64)
        for frame, group in enumerate(matrix):
            valid = group[~np.isnan(group)]
            if valid.size < 0.9 * group.size:
                assert np.isnan(found.mean[number, frame])
                continue
            assert found.mean[number, frame] == pytest.approx(np.mean(valid), rel=1e-12)
            assert found.median[number, frame] == np.median(valid)
            assert found.trimmed_mean[number, frame] == pytest.approx(
                scipy.stats.trim_mean(valid, 0.1), rel=1e-12
            )
            own = weights[~np.isnan(group)]
            if own.sum() >= 0.9 * weights.sum():
                assert found.weighted_mean[number, frame] == pytest.approx(
                    np.average(valid, weights=own), rel=1e-12
                )
    np.testing.assert_allclose(found.image_std, np.nanstd(block.astype(np.float64), axis=0), rtol=1e-9)


def test_contenders_take_turns_and_are_checked() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        return Contender(name, lambda: order.append(name), check=lambda _: order.append(f"{name} checked"))

    timings = alternate([contender("a"), contender("b")], 2, warm=False)
    assert order == ["a", "a checked", "b", "b checked", "b", "b checked", "a", "a checked"]
    assert [len(one) for one in timings.seconds.values()] == [2, 2]


def _rounds(*pairs: tuple[float, float]) -> list[Contender]:
    bare, memory = (iter([pair[index] for pair in pairs]) for index in (0, 1))
    return [Contender(BARE, lambda: next(bare)), Contender(IN_MEMORY, lambda: next(memory))]


def test_a_disturbed_round_is_void_and_repeated() -> None:
    timings = alternate(_rounds((1.0, 0.9), (3.0, 0.9), (1.2, 1.0)), 2, warm=False)
    assert (timings.seconds[BARE], timings.void, timings.trusted) == ([1.0, 1.2], 1, True)


def test_a_row_of_void_rounds_is_not_trusted() -> None:
    timings = alternate(_rounds((3.0, 1.0), (3.0, 1.0)), 1, warm=False)
    assert (timings.void, timings.trusted) == (2, False)
    assert ratio("key", "what", timings, BARE, IN_MEMORY, most=9.0).holds is None


@pytest.mark.parametrize(
    ("value", "most", "least", "holds"),
    [
        (1.0, 1.0, None, True),
        (1.01, 1.0, None, False),
        (3.9, None, 4.0, False),
        (4.0, None, 4.0, True),
        (0.8, 1.1, 0.9, False),
        (1.0, None, None, None),
        (math.nan, 1.0, None, None),
    ],
)
def test_rows_hold_or_not(value: float, most: float | None, least: float | None, holds: bool | None) -> None:
    row = Row("key", "what", value, most=most, least=least)
    assert row.holds is holds
    document = as_document([row], command="command", scale="full", repeats=1, threads=2)
    shown = {True: "yes", False: "no", None: ""}[holds]
    assert as_markdown(document).splitlines()[2].endswith(f"| {shown} |")
    json.dumps(document, allow_nan=False)


def test_a_full_run_replaces_the_one_before(tmp_path: Path) -> None:
    document = as_document([Row("key", "what", 1.0)], command="command", scale="full", repeats=1, threads=2)
    for name in ("2026-01-01T0000-full", "2026-01-02T0000-full", "2026-01-01T0000-quick"):
        write(document, tmp_path / f"{name}.json")
    keep_only(tmp_path / "2026-01-02T0000-full.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{kind}"
        for name in ("2026-01-01T0000-quick", "2026-01-02T0000-full")
        for kind in ("json", "md")
    ]


def test_the_readme_gets_the_table_and_keeps_the_rest(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmark: speed -->\nold\n<!-- end -->\nafter <!-- end -->\n")
    update_readme(readme)
    table = as_short(json.loads(newest_results().read_text("utf-8")))
    assert readme.read_text("utf-8") == (
        f"before\n<!-- benchmark: speed -->\n{table}<!-- end -->\nafter <!-- end -->\n"
    )


def test_profile_names_every_part(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile(["--quick", "--folder", str(files.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    seconds = {cells[1].strip(): float(cells[2]) for cells in (line.split("|") for line in lines[4:])}
    assert list(seconds) == [*PARTS, REST, "whole task", "bare decode"]
    for part in ("checksum", "decode", "gather", "projections", "sorting", "whole task", "bare decode"):
        assert seconds[part] > 0, part


@pytest.mark.memory
def test_memory_is_measured_from_outside(files: Files, tmp_path: Path) -> None:
    store, target = files.store(QUICK.a), tmp_path / "traces.zarr"
    peak = peak_memory(store, QUICK.a, target, 2, "quick")
    assert 30e6 < peak < 1e9
    files.expected(QUICK.a).check(xr.open_zarr(target, group="traces", consolidated=False))


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"the process failed: [^$]*nothing\.zarr"):
        peak_memory(tmp_path / "nothing.zarr", QUICK.a, tmp_path / "traces.zarr", 2, "quick")


def test_a_process_that_ended_holds_nothing() -> None:
    assert anonymous_bytes(2**30) == 0


@pytest.mark.slow
def test_first_call_compiles_in_a_fresh_process(tmp_path: Path) -> None:
    seconds, kernels = first_call_seconds(tmp_path / "compiled")
    assert seconds > 0
    assert kernels > 0


def _asv_calls() -> list[tuple[type[Any], str, tuple[Any, ...]]]:
    """Every method that asv would call, with the first and last of its parameters."""
    calls = []
    for name in tracked.__all__:
        kind = getattr(tracked, name)
        params = getattr(kind, "params", ())
        axes = params if params and isinstance(params[0], tuple) else (params,) if params else ()
        for method in (one for one in vars(kind) if one.startswith(("time_", "peakmem_", "track_"))):
            choices = list(product(*axes))
            calls += [(kind, method, one) for one in dict.fromkeys([choices[0], choices[-1]])]
    return calls


@pytest.mark.parametrize(("kind", "method", "params"), _asv_calls())
def test_asv_classes_run(
    files: Files, monkeypatch: pytest.MonkeyPatch, kind: type[Any], method: str, params: tuple[Any, ...]
) -> None:
    monkeypatch.setenv("ROITRACE_BENCHMARKS", str(files.folder))
    monkeypatch.setenv("ROITRACE_BENCHMARK_SCALE", "quick")
    one = kind()
    one.setup(*params)
    call: Callable[..., Any] = getattr(one, method)
    result = call(*params)
    assert (result is None) == (not method.startswith("track_"))
    if hasattr(one, "teardown"):
        one.teardown()
