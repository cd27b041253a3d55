from __future__ import annotations

import pickle

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace import stat
from roitrace.corrected import shifted
from roitrace.corrected.shifted import Shifted
from roitrace.engine.blocks import as_dask, source_of
from roitrace.errors import ArgumentError, FormatError
from roitrace.sources import Window
from tests.block_sources import ArraySource, counted_reads
from tests.strategies import chunkings, roi_sets, samples, shapes

STATISTICS = ("mean", "median", "std", "max", stat.trimmed_mean(0.2))
PROJECTIONS = ("mean", "max", "std", "median", "correlation")


def labelled(values) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), attrs={"frame_rate": 10.0})


def moved_by_numpy(values: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Roll every frame, and blank what was rolled in from the other side."""
    frames, height, width = values.shape
    result = np.empty(values.shape, np.result_type(values.dtype, np.float32))
    for frame in range(frames):
        dy, dx = moves[frame]
        result[frame] = np.roll(values[frame], (dy, dx), axis=(0, 1))
        y, x = np.arange(height)[:, None] - dy, np.arange(width) - dx
        result[frame][(y < 0) | (y >= height) | (x < 0) | (x >= width)] = np.nan
    return result


@st.composite
def moves_of(draw, shape):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    limits = [draw(st.integers(0, size - 1)) for size in shape[1:]]
    return np.stack([rng.integers(-limit, limit, shape[0], endpoint=True) for limit in limits], axis=1)


@pytest.fixture
def small_pieces(monkeypatch):
    """Let frames of a few pixels fall into several pieces."""
    monkeypatch.setattr(shifted, "LEAST_SIDE", 1)


# -- what NumPy says ----------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes(max_frames=12), st.sampled_from([1, 3, 32]))
def test_moved_frames_are_rolled_ones_without_what_was_rolled_in(data, shape, least_side):
    values = data.draw(samples(shape))
    moves = data.draw(moves_of(shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shifted, "LEAST_SIDE", least_side)
        chunks = tuple(data.draw(st.integers(1, size + 2)) for size in shape)
        given_one = (
            as_dask(ArraySource(values, chunks))
            if data.draw(st.booleans())
            else da.from_array(values, chunks=data.draw(chunkings(shape)))
        )
        moved = rt.shift(labelled(given_one), moves)
        assert isinstance(source_of(moved.data), Shifted)
        np.testing.assert_array_equal(moved.values, moved_by_numpy(values, moves))


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=12))
def test_traces_and_images_have_the_bits_of_the_array_that_numpy_moved(data, shape):
    values = data.draw(samples(shape, infinite=False))
    moves = data.draw(moves_of(shape))
    rois = data.draw(roi_sets(shape[1:], weighted=True))
    chunks = tuple(data.draw(st.integers(1, size + 2)) for size in shape)
    expected = labelled(moved_by_numpy(values, moves))
    asked = {"statistics": (*STATISTICS, "weighted_mean"), "projections": PROJECTIONS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shifted, "LEAST_SIDE", data.draw(st.sampled_from([1, 32])))
        moved = rt.shift(labelled(as_dask(ArraySource(values, chunks))), moves)
        traces = rt.extract(moved, rois, **asked).compute()
    for name, variable in rt.extract(expected, rois, **asked).compute().data_vars.items():
        np.testing.assert_array_equal(traces[name].values, variable.values, err_msg=str(name))


def test_integers_stay_exact():
    values = np.random.default_rng(0).integers(2**31, 2**32 - 1, (5, 8, 8), dtype=np.uint32)
    moves = np.array([(0, 0), (1, 0), (0, -1), (2, 2), (-3, 1)])
    traces = rt.extract(
        rt.shift(labelled(values), moves), np.pad(np.ones((2, 2), bool), 3), ("mean", "median")
    )
    rolled = moved_by_numpy(values, moves)[:, 3:5, 3:5].reshape(5, -1)
    exact = [sum(map(int, row)) / 4 for row in rolled]
    assert traces["mean"].values[0].tolist() == exact
    np.testing.assert_array_equal(traces["median"].values[0], np.median(rolled, axis=1))


def test_a_roi_that_a_shift_uncovers_goes_by_its_coverage():
    movie = labelled(np.ones((3, 8, 10), np.uint16))
    roi = np.zeros((8, 10), bool)
    roi[2:6, 0:10] = True
    traces = rt.extract(rt.shift(movie, [(0, 0), (0, 1), (0, 2)]), roi, "mean").compute()
    assert traces["n_valid"].values.tolist() == [[40, 36, 32]]
    np.testing.assert_array_equal(traces["mean"].values, [[1.0, 1.0, np.nan]])


@pytest.mark.usefixtures("small_pieces")
def test_a_part_of_a_recording_has_the_pixels_that_move_in_from_outside():
    values = np.arange(4 * 6 * 7, dtype=np.uint16).reshape(4, 6, 7)
    moves = np.array([(0, 0), (1, -1), (-2, 1), (0, 3)])
    part = Window(ArraySource(values, (2, 2, 3)), (1, 2, 1), (2, 3, 5))
    expected = moved_by_numpy(values, moves)[1:3, 2:5, 1:6]
    for given_moves in (moves, moves[1:3]):
        moved = rt.shift(labelled(as_dask(part)), given_moves)
        np.testing.assert_array_equal(moved.values, expected)
        assert moved["dy"].values.tolist() == [1, -2]


# -- how it is read -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pieces")
def test_each_chunk_is_read_once_for_everything_that_is_asked():
    values = np.random.default_rng(0).integers(0, 999, (24, 20, 20), dtype=np.uint16)
    moves = np.random.default_rng(1).integers(-3, 4, (24, 2))
    roi = np.zeros((20, 20), bool)
    roi[2:18, 2:18] = True
    with counted_reads("shifted") as reads:
        moved = rt.shift(labelled(as_dask(ArraySource(values, (4, 5, 5), "shifted"))), moves)
        rt.extract(moved, roi, ("mean", "median"), projections=("mean", "std")).compute(scheduler="sync")
    assert set(reads.values()) == {1}
    assert len(reads) == 6 * 4 * 4


@pytest.mark.usefixtures("small_pieces")
def test_each_chunk_is_read_once_where_every_tile_needs_its_neighbours():
    values = np.random.default_rng(0).integers(0, 999, (24, 20, 20), dtype=np.uint16)
    moves = np.random.default_rng(1).integers(-3, 4, (24, 2))
    roi = np.zeros((20, 20), bool)
    roi[3:17, 3:17] = True
    with counted_reads("tiles") as reads:
        moved = rt.shift(labelled(as_dask(ArraySource(values, (4, 5, 5), "tiles"))), moves)
        traces = rt.extract(moved, roi, "mean").compute(scheduler="sync")
    assert set(reads.values()) == {1}
    expected = moved_by_numpy(values, moves)[:, 3:17, 3:17].mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(traces["mean"].values[0], expected, rtol=1e-12)


@pytest.mark.usefixtures("small_pieces")
def test_chunks_far_from_all_cells_are_not_read():
    values = np.zeros((4, 40, 40), np.uint16)
    roi = np.zeros((40, 40), bool)
    roi[12:14, 12:14] = True
    with counted_reads("far") as reads:
        moved = rt.shift(labelled(as_dask(ArraySource(values, (4, 5, 5), "far"))), [(2, 0)] * 4)
        rt.extract(moved, roi, "mean").compute(scheduler="sync")
    assert sorted(reads) == [(0, 1, 2), (0, 2, 2)]


def test_nothing_is_read_before_it_is_asked_for():
    def refuse(*_, **__):
        raise AssertionError("computed")

    with counted_reads("lazy") as reads, dask.config.set(scheduler=refuse):
        moved = rt.shift(labelled(as_dask(ArraySource(np.zeros((4, 5, 5)), (2, 5, 5), "lazy"))), [(0, 1)] * 4)
        rt.extract(moved, np.ones((5, 5), bool), projections=("mean", "max"))
    assert not reads


def test_the_name_tells_shifts_apart_and_the_source_travels():
    source = ArraySource(np.zeros((4, 5, 5), np.uint8), (2, 5, 5))
    recording = labelled(as_dask(source))
    one, same, other = (rt.shift(recording, [(0, dx)] * 4) for dx in (1, 1, 2))
    assert one.data.name == same.data.name != other.data.name
    digests = [source_of(array.data).identity() for array in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    copy = pickle.loads(pickle.dumps(source_of(one.data)))
    np.testing.assert_array_equal(copy.read(slice(0, 4), slice(0, 5), slice(0, 5)), one.values)


def test_the_plan_counts_what_a_reader_keeps():
    source = ArraySource(np.zeros((256, 256, 256), np.uint16), (256, 64, 64))
    still = labelled(as_dask(source).astype(np.float32))
    moved = rt.shift(labelled(as_dask(source)), [(0, 0), (40, 0)] * 128)
    roi = np.eye(256, dtype=bool)
    plans = [rt.plan(one, roi, budget="2 GiB", workers=1).peak_bytes for one in (still, moved)]
    strip = 256 * 256 * (64 + 40) * 4
    assert plans[1] > plans[0] - still.nbytes + strip


# -- other people's shifts ----------------------------------------------------------------------------------------


def suite2p_shift_frame(frame, dy, dx):
    """What suite2p.registration.rigid.shift_frame is defined to do."""
    return np.roll(frame, (-dy, -dx), axis=(0, 1))


@pytest.mark.parametrize("name", ["ops.npy", "reg_outputs.npy"])
def test_suite2p_moves_frames_against_its_offsets(tmp_path, name):
    rng = np.random.default_rng(0)
    movie = rng.integers(0, 999, (4, 9, 11), dtype=np.uint16)
    yoff, xoff = np.array([0, 1, -2, 3], np.int32), np.array([1, 0, 2, -4], np.int32)
    ops = {"yoff": yoff, "xoff": xoff, "badframes": np.array([0, 0, 1, 0], bool)}
    np.save(tmp_path / name, ops | {"yrange": [3, 7], "xrange": np.array([4, 9]), "nonrigid": False})
    shifts = rt.read_shifts(tmp_path)
    moved = rt.shift(labelled(movie), shifts)
    registered = np.stack([suite2p_shift_frame(*one) for one in zip(movie, yoff, xoff, strict=True)])
    np.testing.assert_array_equal(moved.values[:, 3:6, 4:7], registered[:, 3:6, 4:7])
    assert shifts["bad_frame"].values.tolist() == [False, False, True, False]
    assert (shifts.attrs["valid_y"], shifts.attrs["valid_x"]) == ([3, 7], [4, 9])


def test_suite2p_blocks_are_mentioned(tmp_path):
    np.save(tmp_path / "ops.npy", {"yoff": np.zeros(3), "xoff": np.zeros(3), "yoff1": np.ones((3, 4))})
    assert "rigid" in rt.read_shifts(tmp_path / "ops.npy").attrs["notes"]


def test_caiman_shifts_say_where_the_content_goes(tmp_path):
    pairs = np.array([(0.0, 0.0), (1.2, -2.4)])
    np.save(tmp_path / "a.npy", pairs)
    np.savez(tmp_path / "b.npz", shifts_rig=pairs, templates_rig=np.zeros((4, 4)))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["motion/shifts_rig"] = pairs
    frame = np.arange(30, dtype=np.uint16).reshape(5, 6)
    for name in ("a.npy", "b.npz", "c.h5"):
        moved = rt.shift(labelled(np.stack([frame, frame])), tmp_path / name)
        # cv2.warpAffine with [[1, 0, shift[1]], [0, 1, shift[0]]]
        np.testing.assert_array_equal(moved.values[1, 1:, :-2], frame[:-1, 2:])


def test_csv_rows_may_come_in_any_order(tmp_path):
    path = tmp_path / "shifts.csv"
    path.write_text("dx, frame, dy, note\n5,1,-1,jump\n0,0,0,\n", encoding="utf-8")
    shifts = rt.read_shifts(path)
    assert (shifts["dy"].values.tolist(), shifts["dx"].values.tolist()) == ([0, -1], [0, 5])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "frame,dy\n0,1\n", "no dx"),
        ("a.csv", "", "none"),
        ("a.csv", "frame,dy,dx\n0,1,x\n", "line 2: dx is 'x'"),
        ("a.csv", "frame,dy,dx\n0,1\n", "dx is None"),
        ("a.csv", "frame,dy,dx\n0,1,1\n2,1,1\n", "where frame 1 should be there is 2"),
        ("a.csv", "frame,dy,dx\n0,1,nan\n", "nan for frame 0"),
        ("a.csv", "frame,dy,dx\n", "one number per frame"),
        ("a.npy", np.zeros((4, 3)), "expected (frames, 2)"),
        ("a.npy", np.zeros((4, 2), complex), "complex"),
        ("a.npy", {"Ly": 5}, "no yoff and no xoff"),
        ("a.npy", {"yoff": np.zeros(3), "xoff": np.zeros(4)}, "3 shifts along y and 4 along x"),
        ("a.npy", {"yoff": np.zeros(3), "xoff": np.zeros(3), "badframes": np.zeros(2)}, "badframes"),
        ("a.npy", {"yoff": np.zeros(3), "xoff": np.zeros(3), "yrange": [5, 2]}, "yrange"),
        ("a.npz", {"templates": np.zeros((2, 2)), "other": np.zeros(2)}, "expected shifts_rig"),
        ("a.h5", {"other": np.zeros((3, 2))}, "no array of shifts"),
        ("a.h5", b"no HDF5", "cannot be read as HDF5"),
        ("a.mat", b"", "no file of shifts"),
        ("missing.csv", None, "does not exist"),
        (".", None, "neither reg_outputs.npy nor ops.npy"),
    ],
)
def test_files_without_usable_shifts_are_refused(tmp_path, name, content, says):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict) and name == "a.npz":
        np.savez(path, **content)
    elif isinstance(content, dict) and name == "a.h5":
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                file[key] = value
    elif content is not None:
        np.save(path, content)
    with pytest.raises(FormatError) as problem:
        rt.read_shifts(path)
    assert says in str(problem.value)


@pytest.mark.parametrize(
    ("shifts", "says"),
    [
        ([(0, 0)] * 3, "there are 3 shifts, and the recording has 4 frames"),
        ([(0, 0), (0, 0), (0, 9), (0, 0)], "dx of frame 2 is 9 pixels"),
        (xr.Dataset({"dy": ("time", np.zeros(4))}), "no dx"),
        ([(0, 0, 0)] * 4, "expected (frames, 2)"),
    ],
)
def test_shifts_that_do_not_fit_the_recording_are_refused(shifts, says):
    with pytest.raises((ArgumentError, FormatError)) as problem:
        rt.shift(labelled(np.zeros((4, 9, 9))), shifts)
    assert says in str(problem.value)


def test_shifts_of_another_file_are_refused_for_a_part():
    part = Window(ArraySource(np.zeros((6, 9, 9)), (2, 9, 9)), (1, 0, 0), (4, 9, 9))
    with pytest.raises(ArgumentError, match="4 frames of the 6 of its file"):
        rt.shift(labelled(as_dask(part)), [(0, 0)] * 5)
