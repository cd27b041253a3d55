"""Decisions about ROIs: the table is read, applied, carried over, written; every mistake in it is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.decisions import Decided, carry_over, decisions_path, read_decisions
from roitrace.errors import AlignmentError, FormatError
from roitrace.rois import Rois

HEAD = "roi,accepted,reason,note\n"


def squares(*corners, size=4, names=None):
    y, x = np.mgrid[:size, :size]
    pixels = [np.stack([y.ravel() + top, x.ravel() + left], axis=1) for top, left in corners]
    return Rois.from_pixels(pixels, shape=(40, 40), names=names)


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "cells.zarr.rois.csv"
    path.write_bytes(text.encode(encoding))
    return path


def states(decided):
    rois = decided.rois
    return list(
        zip(rois.accepted.tolist(), rois.reasons, decided.notes, decided.by_hand.tolist(), strict=True)
    )


text = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8).map(
    lambda s: " ".join(s.split())
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), text, text, text), max_size=4, unique_by=lambda row: row[1]))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    rois = squares(*[(0, 5 * n) for n in range(len(rows))], names=[row[1] for row in rows])
    for number, row in enumerate(rows):
        rois = (rois.accept if row[0] else rois.reject)(number, row[2])
    notes = tuple(row[3] for row in rows)
    Decided(rois, notes, np.zeros(len(rois), bool)).write(path)
    read = read_decisions(path)
    assert [(row.accepted, name, row.reason, row.note) for name, row in read.items()] == rows
    again = Decided(rois, notes, np.zeros(len(rois), bool)).edited(read, path)
    assert not again.by_hand.any()
    assert again.rois.equals(rois)
    assert Decided.from_dataset(again.to_dataset()).notes == notes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (HEAD + "1,no,vessel,\n2,yes,,look again\n", "utf-8"),
        ("ROI;Accepted;Reason;Note\r\n1;FALSE;vessel;\r\n2;TRUE;;look again\r\n", "utf-8-sig"),
        ("note\treason\taccepted\troi\n\tvessel\t0\t1\n\nlook again\t\t1\t2\n", "utf-8"),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, text, encoding):
    rows = read_decisions(table(tmp_path, text, encoding))
    assert {name: (row.accepted, row.reason, row.note) for name, row in rows.items()} == {
        "1": (False, "vessel", ""),
        "2": (True, "", "look again"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the columns are none, expected roi, accepted, reason, note"),
        ("roi,accepted,reason\n", "line 1: the columns are roi, accepted, reason, expected"),
        (
            "roi,accepted,reason,note,colour\n",
            "line 1: the columns are .*colour, expected .*; write whatever else",
        ),
        ("roi,accepted,reason,reason\n", "line 1: the columns are roi, accepted, reason, reason"),
        (HEAD + "1,yes,,\n2,maybe,,\n", "line 3: accepted is 'maybe' for ROI '2', expected yes or no"),
        (HEAD + "1,,,\n", "line 2: accepted is '' for ROI '1'"),
        (
            HEAD + "1,no,dim, near a vessel,\n",
            r"line 2: 5 values \(1, no, dim,  near a vessel, \), expected 4",
        ),
        (HEAD + "1,no\n", "line 2: 2 values"),
        (HEAD + "1,yes,,\n1,no,,\n", "line 3: ROI '1' stands in line 2 already"),
        (HEAD + '1,no,"dim,\n', "is no CSV: unexpected end of data"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(FormatError, match=message) as caught:
        read_decisions(path)
    assert str(path) in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(FormatError, match="is no UTF-8 text: .* at byte 30; save it as CSV in UTF-8"):
        read_decisions(table(tmp_path, HEAD + "1,no,ä,\n", "latin-1"))


def test_a_roi_that_is_not_there_is_named(tmp_path):
    path = table(tmp_path, HEAD + "1,yes,,\n7,no,,\n")
    with pytest.raises(
        FormatError, match=r"line 3: there is no ROI '7' in the results beside it; names are 1, 2"
    ):
        Decided.by_nobody(squares((0, 0), (0, 9))).edited(read_decisions(path), path)


def test_edits_are_decisions_by_hand(tmp_path):
    rois = squares((0, 0), (0, 9), (9, 0), (9, 9), (20, 0), (20, 9)).reject(
        [1, 2], "area_px 16, expected >= 20"
    )
    before = Decided(rois, ("", "", "", "", "", "old"), np.array([False] * 5 + [True]))
    lines = '1,no,,\n2,yes,,\n3,yes,bright,\n4,yes,,only a note\n5,no," too \n dim",\n'
    path = table(tmp_path, HEAD + lines)
    after = before.edited(read_decisions(path), path)
    assert states(after) == [
        (False, "by hand", "", True),
        (True, "by hand", "", True),  # the reason of the rejection went with it
        (True, "bright", "", True),
        (True, "", "only a note", False),
        (False, "too dim", "", True),
        (True, "", "", False),  # its line was taken away: nobody decides
    ]
    kept = table(tmp_path, HEAD + '2,yes,"area_px 16, expected >= 20",\n')
    assert states(before.edited(read_decisions(kept), kept))[1] == (True, "by hand", "", True)


def test_decisions_go_over_to_cells_that_are_still_there():
    rois = squares((0, 0), (0, 9), (20, 0), (20, 20)).reject(["2", "3"], "vessel")
    earlier = Decided(rois, ("", "odd", "", "gone too"), np.array([False, True, False, False]))
    # the second has moved by one pixel, the third was rejected by a rule then, the fourth is gone, one is new
    found = squares((30, 30), (20, 0), (1, 9), (0, 0)).reject("4", "dim")
    decided, changes = carry_over(earlier, found)
    assert states(decided) == [
        (True, "", "", False),
        (True, "", "", False),
        (False, "vessel", "odd", True),
        (False, "dim", "", False),
    ]
    assert (changes.kept, changes.new, changes.gone, changes.decisions) == (3, ("1",), ("4",), 1)
    assert changes.lost == ("4",)
    assert str(changes) == (
        "against the earlier results: 3 cells kept, 1 new (1), 1 gone (4); decisions and notes kept: 1, "
        "lost with their cell: 1 (4)"
    )
    assert decided.rois.history[-1] == "decided by hand about 3"
    assert decided.rois.ids.tolist() == found.ids.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 8), st.integers(0, 8))
def test_only_halves_that_overlap_are_the_same(seed, n_before, n_now):
    random = np.random.default_rng(seed)
    old, new = (squares(*random.integers(0, 12, (count, 2)).tolist()) for count in (n_before, n_now))
    old = old.reject(list(range(len(old))), "by hand")
    earlier = Decided(old, tuple(f"note {n}" for n in range(n_before)), np.ones(n_before, bool))
    decided, changes = carry_over(earlier, new)
    assert changes.kept + len(changes.new) == n_now
    assert changes.kept + len(changes.gone) == n_before
    carried = [note for note in decided.notes if note]
    assert len(set(carried)) == len(carried) == changes.kept == decided.by_hand.sum()
    for number in np.flatnonzero(decided.by_hand).tolist():
        one, other = new.row(number), old.row(int(decided.notes[number].split()[1]))
        shared = np.intersect1d(one, other).size
        assert shared / (one.size + other.size - shared) >= 0.5
    same, nothing = carry_over(earlier, old)
    assert same.notes == earlier.notes or n_before != len({tuple(old.row(n)) for n in range(n_before)})
    assert nothing.kept == n_before
    assert not nothing.new


def test_what_a_person_decided_no_rule_changes():
    rois = squares((0, 0), (0, 9)).accept("1", "sure")
    decided = Decided(rois, ("", ""), np.array([True, False]))
    judged = decided.over(rois.reject([0, 1], "noise 3, expected <= 2"))
    assert states(judged) == [(True, "sure", "", True), (False, "noise 3, expected <= 2", "", False)]


def test_other_frames_are_refused():
    other = Rois.from_labels(np.ones((5, 5), int))
    with pytest.raises(
        AlignmentError, match="earlier ROIs lie on a frame of 40 x 40 pixels, the new ones on 5 x 5"
    ):
        carry_over(Decided.by_nobody(squares((0, 0))), other)


def test_the_table_is_beside_the_store():
    assert str(decisions_path("folder/cells.zarr")) == "folder/cells.zarr.rois.csv"
