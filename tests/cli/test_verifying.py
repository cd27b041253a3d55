"""Append and verify, as they are typed."""

from __future__ import annotations

import json

import numpy as np


def test_a_store_is_appended_damaged_found_and_mended(call, work):
    assert (
        call("convert", "movie.npy", "movie.zarr", "--frame-rate", "10", "--chunks", "16,20,24", "-q").code
        == 0
    )
    answer = call("append", "movie.npy", "movie.zarr", "-q", "--json")
    assert (answer.code, json.loads(answer.out)["shape"]) == (0, [60, 40, 48])
    np.save(work / "second.npy", np.load(work / "movie.npy")[::-1])
    answer = call("append", "second.npy", "movie.zarr", "-q", "--json")
    assert (answer.code, json.loads(answer.out)["shape"]) == (0, [120, 40, 48])
    answer = call("verify", "movie.zarr", "-q")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("movie.zarr: whole of ")
    (work / "movie.zarr/fluorescence/c/2/0/0").write_bytes(b"")
    answer = call("verify", "movie.zarr", "-q")
    assert answer.code == 1
    assert "damaged: fluorescence/c/2/0/0 is empty" in answer.out
    assert "frames 32 to 47" in answer.out
    assert "--repair" in answer.err
    answer = call("verify", "movie.zarr", "-q", "--json")
    facts = json.loads(answer.out)
    assert (answer.code, facts["ok"], facts["damages"][0]["frames"]) == (1, False, [32, 47])
    answer = call("verify", "movie.zarr", "-q", "--repair")
    assert answer.code == 0
    assert "mended: fluorescence/c/2/0/0" in answer.out
    assert call("verify", "movie.zarr", "-q").code == 0


def test_wrong_calls(call, work):
    for arguments, code, words in (
        (("verify", "none.zarr"), 2, "there is no store none.zarr"),
        (("verify", "movie.npy"), 1, "has no manifest"),
        (("append", "movie.npy", "none.zarr"), 1, "none.zarr is no recording store"),
        (("append", "none.npy", "none.zarr"), 1, "none.zarr is no recording store"),
    ):
        answer = call(*arguments, "-q")
        assert answer.code == code
        assert words in answer.err
        assert len(answer.lines) <= 2
    assert not list(work.glob("none*"))


def test_an_interrupted_store_says_what_goes_on(call, work, monkeypatch):
    from roitrace.store import files

    perform = files.perform

    def stopped(operation, path, *rest):
        if path.name == "manifest.partial":
            raise KeyboardInterrupt
        return perform(operation, path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(files, "perform", stopped)
        assert call("convert", "movie.npy", "movie.zarr", "-q").code != 0
    for arguments in (("info", "movie.zarr"), ("verify", "movie.zarr", "-q")):
        answer = call(*arguments)
        assert answer.code == 1
        assert "movie.zarr is unfinished: 60 of 60 frames were written" in answer.err
        assert f"roitrace convert {work / 'movie.npy'} {work / 'movie.zarr'}" in answer.err
    assert call("convert", "movie.npy", "movie.zarr", "-q").code == 0
    assert call("verify", "movie.zarr", "-q").code == 0
