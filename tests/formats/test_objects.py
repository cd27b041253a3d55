"""NumPy files of objects: everything that suite2p and Cellpose save comes back; whatever else a pickle can do is refused."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import io
import pathlib
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from roitrace.errors import FormatError
from roitrace.formats.objects import read_mapping, read_objects, unpickle

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
)
PLAIN = st.sampled_from(["?", "u1", ">i2", "<u4", "i8", "f4", ">f8", "c16", "S3", "U4"]).map(np.dtype)
ARRAYS = PLAIN.flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
DATA = st.recursive(
    SCALARS | ARRAYS | ARRAYS.map(np.asfortranarray) | PLAIN.flatmap(npst.from_dtype),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def assert_equal(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@settings(max_examples=50, deadline=None)
@given(DATA, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back_from_every_protocol(data, protocol):
    assert_equal(unpickle(pickle.dumps(data, protocol=protocol), "a file"), data)


def stat():
    """What suite2p's detection saves, in short."""
    return np.array(
        [
            {
                "ypix": np.array([1, 2], "i4"),
                "lam": np.array([0.5, 0.25], "f4"),
                "med": [np.int64(3), 4],
                "footprint": np.float32(1.5),
                "overlap": np.array([True, False]),
            },
            {"ypix": np.array([], "i4"), "soma_crop": np.array([[True]]), "radius": np.nan},
        ],
        dtype=object,
    )


def test_a_file_of_objects_reads_as_numpy_reads_it(tmp_path):
    np.save(tmp_path / "stat.npy", stat())
    found = read_objects(tmp_path / "stat.npy")
    expected = np.load(tmp_path / "stat.npy", allow_pickle=True)
    assert found.shape == expected.shape == (2,)
    for one, other in zip(found[:1], expected[:1], strict=True):
        assert_equal(one, other)
    assert np.isnan(found[1]["radius"])
    found[0]["ypix"][0] = 7  # what is read can be changed


def test_fortran_ordered_objects_keep_their_places(tmp_path):
    grid = np.asfortranarray(np.array([["a", 1, None], [2.5, "b", (1,)]], dtype=object))
    np.save(tmp_path / "grid.npy", grid)
    np.testing.assert_array_equal(read_objects(tmp_path / "grid.npy"), grid)


def test_a_plain_array_reads_too(tmp_path):
    np.save(tmp_path / "iscell.npy", np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(read_objects(tmp_path / "iscell.npy"), np.arange(6.0).reshape(3, 2))


def test_settings_with_dates_and_paths_read_as_texts(tmp_path):
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    np.save(
        tmp_path / "ops.npy",
        {
            "date_proc": moment,
            "save_path": pathlib.PurePosixPath("/data/mouse/plane0"),
            "filelist": [pathlib.PureWindowsPath("D:/a/b.tif")],
            "timing": collections.OrderedDict(registration=1.5),
            "meanImg": np.ones((3, 4), "f4"),
        },
    )
    found = read_mapping(tmp_path / "ops.npy")
    assert found["date_proc"] == "2024-05-06T07:08:09"
    assert found["save_path"] == "/data/mouse/plane0"
    assert found["timing"] == {"registration": 1.5}
    np.testing.assert_array_equal(found["meanImg"], np.ones((3, 4)))


def test_shared_arrays_stay_shared():
    image = np.arange(4)
    found = unpickle(pickle.dumps({"a": image, "b": [image]}), "a file")
    assert found["a"] is found["b"][0]


class Touch:
    """Runs code where a pickle is trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("wrap", [lambda item: item, lambda item: {"a": [item]}, lambda item: (1, item)])
def test_code_is_never_run(tmp_path, wrap):
    trap = tmp_path / "ran"
    np.save(tmp_path / "ops.npy", np.array(wrap(Touch(trap)), dtype=object))
    with pytest.raises(FormatError, match=r"names builtins\.exec"):
        read_objects(tmp_path / "ops.npy")
    assert not trap.exists()
    np.load(tmp_path / "ops.npy", allow_pickle=True)
    assert trap.exists()  # the trap is a real one


class Custom:
    pass


def memo_bomb():
    """States 2**31 remembered objects: the ordinary unpickler reserves 32 GB for them."""
    return b"\x80\x04N" + b"r" + struct.pack("<I", 2**31 - 1) + b"."


def pickled_array(state, code="f8"):
    """An array whose parts a pickle states freely."""

    class Dtype:
        def __reduce__(self):
            return np.dtype, (code, False, True)

    class Array:
        def __reduce__(self):
            full = tuple(Dtype() if part == "dtype" else part for part in state)
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), full

    return pickle.dumps(Array())


LIES = {
    "a class": (pickle.dumps(Custom()), "instruction NEWOBJ"),
    "a function as data": (pickle.dumps([np.ndarray]), "holds a type"),
    "another function": (pickle.dumps(np.load), "which is not plain data"),
    "another name of an allowed module": (b"cpathlib\nPath.home\n.", "which is not plain data"),
    "a persistent id": (b"Pabc\n.", "instruction PERSID"),
    "an extension": (b"\x82\x01.", "instruction EXT1"),
    "a huge memo": (memo_bomb(), "counts more objects"),
    "a huge text": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.", "expected .* bytes"),
    "a changed function": (
        b"\x80\x04cnumpy\ndtype\n}\x8c\x01aK\x01sb.",
        "changes a function",
    ),
    "circular lists": (b"\x80\x04]\x94h\x00a.", "nested more than"),
    "more shape than samples": (pickled_array((1, (1000, 1000), "dtype", False, b"1234")), "not as long"),
    "more shape than objects": (pickled_array((1, (3,), "dtype", False, [1]), "O8"), "not as long"),
    "objects as bytes": (pickled_array((1, (1,), "dtype", False, b"12345678"), "O8"), "not as long"),
    "a negative shape": (pickled_array((1, (-1,), "dtype", False, b"")), "has the shape"),
    "very many empty texts": (pickled_array((1, (10**9,), "dtype", False, b""), "S0"), "no contents"),
    "structures": (pickle.dumps(np.zeros(2, [("a", "f8"), ("b", "O")])), "dtype 'V16'"),
    "a dtype of structures": (
        pickle.dumps(np.dtype("f8")).replace(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", b"N(lNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"),
        "structures",
    ),
    "an array without contents": (
        b"cnumpy.core.multiarray\n_reconstruct\n)R.",
        "no contents",
    ),
    "an array without dtype": (pickled_array((1, (1,), "none", False, b"12345678")), "an array has no dtype"),
    "a scalar of objects": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'12345678'\ntR.",
        "a scalar of objects",
    ),
    "a buffer of objects": (
        b"cnumpy.core.numeric\n_frombuffer\n(S'12345678'\ncnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I1\ntS'C'\ntR.",
        "a buffer of objects",
    ),
    "another encoding": (b"c_codecs\nencode\n(S'abc'\nS'utf-16'\ntR.", "encodes something else"),
    "no pickle": (b"hello", "instruction OBJ"),
    "cut short": (pickle.dumps([1, 2, 3])[:-3], "cannot be read as plain data"),
    "nothing": (b"", "cannot be read as plain data"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_each_lie_has_one_clear_error(name):
    data, message = LIES[name]
    with pytest.raises(FormatError, match=message):
        unpickle(data, "a file")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_pickles_never_raise_another_error(data):
    whole = bytearray(pickle.dumps(stat(), protocol=data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        unpickle(bytes(whole[: data.draw(st.integers(0, len(whole)))]), "a file")


def test_larger_files_of_objects_are_refused(tmp_path):
    np.save(tmp_path / "stat.npy", stat())
    with pytest.raises(FormatError, match="more than the"):
        read_objects(tmp_path / "stat.npy", limit=100)


def npy(header, contents):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + contents


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "cannot be read as a NumPy file"),
        (b"hello", "cannot be read as a NumPy file"),
        (
            npy({"shape": (3,), "fortran_order": False, "descr": "|O"}, pickle.dumps(stat())),
            "declares an array of objects of shape",
        ),
        (
            npy({"shape": (), "fortran_order": False, "descr": "|O"}, pickle.dumps({"a": 1})),
            "declares an array of objects of shape",
        ),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, contents, message):
    (tmp_path / "ops.npy").write_bytes(contents)
    with pytest.raises(FormatError, match=message):
        read_objects(tmp_path / "ops.npy")


@pytest.mark.parametrize("content", [stat(), np.zeros(3), {1: 2}])
def test_a_mapping_has_texts_as_keys(tmp_path, content):
    np.save(tmp_path / "ops.npy", content)
    with pytest.raises(FormatError, match="expected one dict"):
        read_mapping(tmp_path / "ops.npy")
