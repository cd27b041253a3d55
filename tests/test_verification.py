"""Every damage is found and named, and mended from the source where there is one."""

from __future__ import annotations

import errno
import json
import shutil

import dask
import numpy as np
import pytest

import roitrace as rt
from roitrace.conversion import convert
from roitrace.errors import ArgumentError, FileAccessError, RoitraceError, StoreError
from roitrace.recording import open_recording
from roitrace.simulation import simulate
from roitrace.simulation.truth import truth_path
from roitrace.store.journal import Journal
from roitrace.verification import verify
from tests.store.killed import contents, kill_at

MOVIE = np.random.default_rng(3).integers(0, 500, (40, 16, 24), dtype=np.uint16)
CHUNKS = (8, 8, 8)


@pytest.fixture(autouse=True)
def one_after_the_other():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def store(tmp_path):
    np.save(tmp_path / "movie.npy", MOVIE)
    convert(tmp_path / "movie.npy", tmp_path / "a.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=(1.5, 2))
    return tmp_path / "a.zarr"


def shard(store, number):
    return store / "fluorescence" / "c" / str(number) / "0" / "0"


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 16
    path.write_bytes(data)


def swap(store):
    one, other = shard(store, 1), shard(store, 2)
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def swap_chunks(store):
    """Exchange two chunks of a shard, index and all: each is whole."""
    data = shard(store, 1).read_bytes()
    index = np.frombuffer(data[-16 * 6 - 4 : -4], "<u8").reshape(-1, 2).copy()
    index[[0, 5]] = index[[5, 0]]
    table = index.tobytes()
    from roitrace.store.checksum import crc32c

    shard(store, 1).write_bytes(data[: -16 * 6 - 4] + table + crc32c(table).to_bytes(4, "little"))


ALL_6 = [(1, y, x) for y in range(2) for x in range(3)]


@pytest.mark.parametrize(
    ("damage", "problem", "chunks"),
    [
        (lambda store: shard(store, 1).unlink(), "is missing", ALL_6),
        (lambda store: shard(store, 1).write_bytes(b""), r"is empty: 0 of \d+ bytes", ALL_6),
        (
            lambda store: shard(store, 1).write_bytes(shard(store, 1).read_bytes()[:-9]),
            r"is cut short: \d+ of \d+ bytes",
            ALL_6,
        ),
        (lambda store: flip(shard(store, 1), 30), "is damaged: checksums do not match", [(1, 0, 0)]),
        (lambda store: flip(shard(store, 1), -20), "has a damaged index", ALL_6),
        (swap, "holds other chunks than were written: swapped, or of an earlier time", ALL_6),
        (swap_chunks, "holds other chunks than were written", [(1, 0, 0), (1, 1, 2)]),
        (
            lambda store: shard(store, 1).write_bytes(shard(store, 1).read_bytes() + b"1"),
            "has a damaged index",
            ALL_6,
        ),
    ],
)
def test_damage_is_named_and_mended(store, damage, problem, chunks):
    expected = contents(store)
    whole = verify(store)
    assert whole.ok
    assert (whole.n_files, whole.nbytes) == (
        len(expected) - 1,
        sum(map(len, expected.values())) - len(expected["fluorescence/manifest"]),
    )
    damage(store)
    found = verify(store)
    first = found.damages[0]
    assert (first.file, first.array, first.frames) == ("fluorescence/c/1/0/0", "fluorescence", (8, 15))
    assert list(first.chunks) == chunks
    assert pytest.importorskip("re").match(problem, first.problem), first.problem
    assert "frames 8 to 15" in str(found)
    # whoever reads what is damaged, even one pixel, is told
    if len(chunks) == 6:
        with pytest.raises(StoreError):
            open_recording(store, time=slice(9, 10), y=slice(0, 1), x=slice(0, 1)).compute()
    np.testing.assert_array_equal(open_recording(store, time=slice(24, 40)), MOVIE[24:])
    times = {key: (store / key).stat().st_mtime_ns for key in expected if (store / key).exists()}
    mended = verify(store, repair=True)
    assert mended.ok
    assert mended.repaired == found.damages
    assert contents(store) == expected
    touched = {one.file for one in found.damages}
    assert {key for key in times if (store / key).stat().st_mtime_ns != times[key]} <= touched
    assert sorted(one.name for one in store.with_name("a.zarr.run").iterdir()) == ["convert.json"]


def test_chunks_that_were_swapped_are_found_by_whoever_reads_them(store):
    swap_chunks(store)
    with pytest.raises(
        StoreError, match=r"chunk 1/0/0 \(frames 8 to 15\) .* is not the one that was written"
    ):
        open_recording(store, y=slice(0, 4), x=slice(0, 4)).compute()
    np.testing.assert_array_equal(open_recording(store, y=slice(0, 8), x=slice(8, 16)), MOVIE[:, :8, 8:16])


def test_a_shard_of_another_time_is_found_by_whoever_reads_it(store, tmp_path):
    np.save(tmp_path / "other.npy", MOVIE[::-1])
    other = convert(
        tmp_path / "other.npy", tmp_path / "b.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=(1.5, 2)
    )
    assert other.shape == MOVIE.shape
    shutil.copy(shard(tmp_path / "b.zarr", 3), shard(store, 3))
    with pytest.raises(
        StoreError, match=r"chunk 3/0/0 \(frames 24 to 31\) .* is not the one that was written"
    ):
        open_recording(store).compute()


@pytest.mark.parametrize("key", ["time/c/0", "x/zarr.json", "fluorescence/zarr.json", "y/c/0"])
@pytest.mark.parametrize("damage", ["flip", "remove", "cut"])
def test_metadata_and_coordinates(store, key, damage):
    expected = contents(store)
    path = store / key
    if damage == "flip":
        flip(path, 12)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with pytest.raises(StoreError, match=f"{key} is (damaged|missing)"):
        open_recording(store)
    assert [one.file for one in verify(store).damages] == [key]
    assert verify(store, repair=True).ok
    assert contents(store) == expected


def test_every_bit_of_every_small_file(store):
    """None is silent: the store is refused, or the damage named."""
    random = np.random.default_rng(1)
    for key, data in contents(store).items():
        for bit in random.integers(0, 8 * len(data), 12):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            (store / key).write_bytes(damaged)
            try:
                assert [one.file for one in verify(store).damages] == [key]
            except StoreError:
                with pytest.raises(StoreError):
                    open_recording(store)
        (store / key).write_bytes(data)
    assert verify(store).ok


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_root_metadata_that_do_not_name_the_manifest(store, damage):
    expected = contents(store)
    (store / "zarr.json").unlink()
    if damage is not None:
        (store / "zarr.json").write_bytes(damage)
    with pytest.raises(RoitraceError):
        open_recording(store)
    assert [one.file for one in verify(store).damages] == ["zarr.json"]
    assert verify(store, repair=True).ok
    assert contents(store) == expected


def save_changed(folder):
    """Save frames of which one differs by a sample."""
    changed = MOVIE.copy()
    changed[9, 3, 3] += 1
    np.save(folder / "changed.npy", changed)


def test_another_source_mends_nothing(store, tmp_path):
    save_changed(tmp_path)
    shard(store, 1).unlink()
    before = contents(store)
    with pytest.raises(StoreError, match=r"the source holds other frames than .*c/1/0/0 was made from"):
        verify(store, repair=True, source=tmp_path / "changed.npy")
    np.save(tmp_path / "longer.npy", np.concatenate([MOVIE, MOVIE]))
    with pytest.raises(StoreError, match=r"was made from: shape was \[40, 16, 24\], now \[80, 16, 24\]"):
        verify(store, repair=True, source=tmp_path / "longer.npy")
    assert contents(store) == before
    flip(store / "time" / "c" / "0", 30)
    with pytest.raises(StoreError, match="time/c/0 was made from another source, or with other options"):
        verify(store, repair=True, frame_rate=6)
    assert verify(store, repair=True, source=open_recording(tmp_path / "movie.npy", frame_rate=5)).ok


def test_a_source_that_is_not_known(tmp_path):
    store = tmp_path / "a.zarr"
    convert(open_recording_of(MOVIE), store, chunks=CHUNKS)
    shard(store, 0).unlink()
    with pytest.raises(ArgumentError, match="it is not known what .* was converted from; give source="):
        verify(store, repair=True)
    assert verify(store, repair=True, source=open_recording_of(MOVIE)).ok


def open_recording_of(values):
    import xarray as xr

    return xr.DataArray(values, dims=("time", "y", "x"))


def test_stores_of_others_and_unfinished_ones(tmp_path, store):
    import zarr

    zarr.create_group(tmp_path / "b.zarr").create_array("a", data=np.zeros(3))
    with pytest.raises(StoreError, match="b.zarr has no manifest: it was not written by roitrace"):
        verify(tmp_path / "b.zarr")
    with pytest.raises(ArgumentError, match="there is no store"):
        verify(tmp_path / "c.zarr")
    (store / "fluorescence" / "manifest").unlink()
    with pytest.raises(StoreError, match="a.zarr is unfinished, or has lost its manifest: 40 of 40 frames"):
        verify(store)


def test_a_repair_that_was_killed_goes_on(store):
    expected = contents(store)
    for number in (3, 12, 18, 22, 30):
        shard(store, 1).unlink()
        flip(shard(store, 2), 40)
        killed = kill_at(number, lambda: verify(store, repair=True))
        assert killed or number > 20
        if killed and Journal.of(store).job() is not None:
            with pytest.raises(StoreError, match="was begun by another job"):
                convert(store.with_name("movie.npy"), store)
        assert verify(store, repair=True).ok
        assert contents(store) == expected
        assert not (store.with_name("a.zarr.run") / "journal").exists()


def test_an_interrupted_overwrite_is_not_disturbed(store, tmp_path):
    np.save(tmp_path / "other.npy", MOVIE[::-1])

    def overwrite():
        return convert(tmp_path / "other.npy", store, chunks=CHUNKS, overwrite=True)

    assert kill_at(80, overwrite)
    shard(store, 1).unlink()
    assert not verify(store).ok
    with pytest.raises(StoreError, match="another job on .* was interrupted; give the same command again"):
        verify(store, repair=True)
    overwrite()
    assert verify(store).ok


def test_results_and_truths(tmp_path):
    recording = simulate(tmp_path / "a.zarr", shape=(60, 32, 32), n_rois=2, seed=1)
    truth = truth_path(recording)
    assert verify(truth).ok
    path = truth / "traces" / "dff" / "c" / "0" / "0"
    flip(path, 50)
    (found,) = verify(truth).damages
    assert (found.array, found.chunks, found.frames) == ("traces/dff", ((0, 0),), (0, 59))
    with pytest.raises(StoreError, match="holds no recording: only these are mended"):
        verify(truth, repair=True)
    assert rt.verify is verify


def test_files_are_read_once_and_in_blocks(store, monkeypatch):
    from roitrace.store import damage, survey

    monkeypatch.setattr(damage, "BLOCK_BYTES", 100)
    assert verify(store).ok
    assert survey.BLOCK_BYTES <= 2**23


def test_a_source_that_cannot_be_read_is_told_in_words(store, monkeypatch):
    from roitrace.formats.recordings.strided import StridedSource

    def refuse(_):
        raise OSError(errno.EIO, "Input/output error", "movie.npy")

    shard(store, 1).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(StridedSource, "open", refuse)
        with pytest.raises(FileAccessError, match="the disk failed at movie.npy.* is safe") as refused:
            verify(store, repair=True)
        assert refused.value.next_step.endswith(
            f"then give the same command again: roitrace verify {store} --repair"
        )
        with pytest.raises(FileAccessError, match=f"roitrace verify {store} --repair --source .*movie.npy"):
            verify(store, repair=True, source=store.parent / "movie.npy")
    assert verify(store, repair=True).ok


def test_many_damages_are_named_in_order_and_not_all_printed(tmp_path):
    np.save(tmp_path / "movie.npy", MOVIE[:, :4, :4].repeat(2, axis=0))
    convert(tmp_path / "movie.npy", tmp_path / "a.zarr", chunks=(1, 4, 4))
    shutil.rmtree(tmp_path / "a.zarr" / "fluorescence" / "c")
    found = verify(tmp_path / "a.zarr")
    assert [one.frames for one in found.damages] == [(frame, frame) for frame in range(80)]
    lines = str(found).splitlines()
    assert lines[1:] == [
        *(f"damaged: {one}" for one in found.damages[:40]),
        "and 40 more, which --json names",
    ]


def test_a_shorter_shard_in_the_place_of_another_is_told_as_such(tmp_path):
    movie = MOVIE.copy()
    movie[8:16] = 7
    np.save(tmp_path / "movie.npy", movie)
    convert(tmp_path / "movie.npy", tmp_path / "a.zarr", chunks=CHUNKS)
    short, long = (shard(tmp_path / "a.zarr", number) for number in (1, 2))
    assert short.stat().st_size < long.stat().st_size
    shutil.copy(short, long)
    (found,) = verify(tmp_path / "a.zarr").damages
    assert found.problem == "holds other chunks than were written: swapped, or of an earlier time"


def manifest(store):
    return store / "fluorescence" / "manifest"


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 10),
        lambda path: flip(path, path.stat().st_size // 2),
        lambda path: cut(path, 100),
        lambda path: cut(path, 0),
        lambda path: path.unlink(),
    ],
)
def test_a_manifest_that_is_lost_is_made_anew(store, damage):
    expected = contents(store)
    times = {key: (store / key).stat().st_mtime_ns for key in expected if "/c/" in key}
    damage(manifest(store))
    for look in (open_recording, verify):
        with pytest.raises(StoreError) as refused:
            look(store)
        assert "roitrace verify --repair" in refused.value.next_step
    found = verify(store, repair=True)
    assert found.ok
    assert [one.file for one in found.repaired] == ["fluorescence/manifest"]
    assert contents(store) == expected
    assert {key: (store / key).stat().st_mtime_ns for key in times} == times
    assert contents(store.with_name("a.zarr.run")).keys() == {"convert.json"}


def test_what_is_damaged_besides_its_manifest_is_written_again(store):
    expected = contents(store)
    manifest(store).unlink()
    shard(store, 1).unlink()
    flip(shard(store, 2), 40)
    cut(shard(store, 3), 80)
    flip(store / "time" / "c" / "0", 30)
    cut(store / "fluorescence" / "zarr.json", 50)
    found = verify(store, repair=True)
    assert found.ok
    assert {one.file for one in found.repaired} == {
        *("fluorescence/manifest", "fluorescence/zarr.json", "time/c/0"),
        *(f"fluorescence/c/{number}/0/0" for number in (1, 2, 3)),
    }
    assert contents(store) == expected
    cut(manifest(store), 30)
    cut(store / "zarr.json", 30)
    assert verify(store, repair=True).ok
    assert contents(store) == expected


def test_what_another_source_gives_is_not_taken_for_what_was_there(store, tmp_path):
    save_changed(tmp_path)
    np.save(tmp_path / "longer.npy", np.concatenate([MOVIE, MOVIE]))
    manifest(store).unlink()
    before = contents(store)
    with pytest.raises(StoreError, match=r"the source holds other frames than .*c/1/0/0 was made from"):
        verify(store, repair=True, source=tmp_path / "changed.npy")
    with pytest.raises(StoreError, match=r"was made from: shape was \[40, 16, 24\], now \[80, 16, 24\]"):
        verify(store, repair=True, source=tmp_path / "longer.npy")
    with pytest.raises(StoreError, match="time/c/0 was made from another source, or with other options"):
        verify(store, repair=True, frame_rate=6)
    assert contents(store) == before
    # nor does it take the place of what is broken
    shard(store, 0).unlink()
    cut(store / "fluorescence" / "zarr.json", 50)
    left = contents(store)
    with pytest.raises(StoreError, match=r"the source holds other frames than .*c/1/0/0 was made from"):
        verify(store, repair=True, source=tmp_path / "changed.npy")
    assert contents(store) == left
    for key in ("fluorescence/c/0/0/0", "fluorescence/zarr.json"):
        (store / key).write_bytes(before[key])
    swap(store)
    with pytest.raises(StoreError, match=r"the source holds other frames than .*c/[12]/0/0 was made from"):
        verify(store, repair=True)
    swap(store)
    assert contents(store) == before
    assert not (store.with_name("a.zarr.run") / "journal").exists()
    assert verify(store, repair=True).ok


def test_a_manifest_of_which_no_source_is_known(tmp_path):
    store = tmp_path / "a.zarr"
    convert(open_recording_of(MOVIE), store, chunks=CHUNKS)
    expected = contents(store)
    manifest(store).unlink()
    with pytest.raises(ArgumentError, match="it is not known what .* was converted from; give source="):
        verify(store, repair=True)
    assert verify(store, repair=True, source=open_recording_of(MOVIE)).ok
    assert contents(store) == expected


def test_a_manifest_that_is_made_anew_and_killed_goes_on(store):
    expected = contents(store)
    number, killed = -7, True
    while killed:
        cut(manifest(store), 90)
        shard(store, 1).unlink()
        killed = kill_at(number := number + 13, lambda: verify(store, repair=True))
        assert verify(store, repair=True).ok
        assert contents(store) == expected
        assert contents(store.with_name("a.zarr.run")).keys() == {"convert.json"}
    assert number > 60


def test_a_lost_manifest_of_what_was_appended_to_and_of_what_is_unfinished(store, tmp_path):
    np.save(tmp_path / "more.npy", MOVIE[::-1])
    assert kill_at(100, lambda: rt.append(tmp_path / "more.npy", store))
    data = manifest(store).read_bytes()
    cut(manifest(store), 50)
    with pytest.raises(StoreError, match="another job on .* was interrupted; .* roitrace append .*more.npy"):
        verify(store, repair=True)
    manifest(store).write_bytes(data)
    rt.append(tmp_path / "more.npy", store)
    expected = contents(store)
    cut(manifest(store), 50)
    assert verify(store, repair=True).ok
    assert contents(store) == expected


def test_of_results_a_manifest_is_not_made_anew_and_the_error_says_what_is(tmp_path):
    results = tmp_path / "results.zarr"
    rois = rt.Rois.from_labels(np.eye(16, 24, dtype=int))
    rt.save({"rois": rois}, results, source="movie", parameters={})
    (place,) = results.rglob("manifest")
    cut(place, 50)
    for repair in (False, True):
        with pytest.raises(StoreError, match="manifest is damaged; .* run its job again, with overwrite"):
            verify(results, repair=repair)
    rt.save({"rois": rois}, results, source="movie", parameters={}, overwrite=True)
    assert verify(results).ok


@pytest.mark.parametrize("size", [0, -8, 3, 1.5, "8"])
@pytest.mark.parametrize("inner", [False, True])
def test_chunk_sizes_that_are_none_are_damage(store, size, inner):
    path = store / "fluorescence" / "zarr.json"
    metadata = json.loads(path.read_text())
    grid = metadata["codecs"][0] if inner else metadata["chunk_grid"]
    grid["configuration"]["chunk_shape"][1] = size
    path.write_text(json.dumps(metadata))
    assert {one.file for one in verify(store).damages} >= {"fluorescence/zarr.json"}
    with pytest.raises(StoreError):
        open_recording(store)
