"""A journal gives back what was written to it, or less: never anything else."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import StoreError
from roitrace.store.journal import Journal, changed_facts, decode_records, encode_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4)


@settings(max_examples=50, deadline=None)
@given(RECORDS, st.data())
def test_a_torn_tail_is_ignored_and_spoils_nothing_after_it(records, data):
    lines = [encode_record(record) for record in records]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    left = list(decode_records(whole[:cut]))
    assert left == records[: len(left)]
    # a record lacks at most its line break
    ends = [sum(map(len, lines[: n + 1])) - 1 for n in range(len(lines))]
    assert len(left) == sum(end <= cut for end in ends)
    assert list(decode_records(whole[:cut] + encode_record({"next": 1}))) == [*left, {"next": 1}]


@settings(max_examples=50, deadline=None)
@given(RECORDS, st.data())
def test_a_flipped_bit_loses_a_record_or_two_and_changes_none(records, data):
    whole = bytearray(b"".join(encode_record(record) for record in records) + encode_record({"last": 0}))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    left = list(decode_records(bytes(whole)))
    assert all(record in [*records, {"last": 0}] for record in left)
    assert len(left) >= len(records) - 1


def test_going_on_with_the_same_job(tmp_path):
    journal = Journal.of(tmp_path / "a.zarr")
    assert journal.job() is None
    assert list(journal.records()) == []
    assert not journal.begin({"chunks": (1, 2)}, command="roitrace convert")
    journal.append("0", {"unit": 1})
    journal.append("1", {"unit": 2})
    again = pickle.loads(pickle.dumps(journal))
    assert again.begin({"chunks": [1, 2]})
    assert again.job() == {"fingerprint": {"chunks": [1, 2]}, "command": "roitrace convert"}
    again.append("0", {"unit": 3})
    assert list(journal.records()) == [{"unit": 1}, {"unit": 3}, {"unit": 2}]
    journal.clear()
    assert journal.job() is None
    assert not journal.begin({"chunks": [3]})
    assert list(journal.records()) == []


def test_another_job_is_refused_by_name(tmp_path):
    journal = Journal.of(tmp_path / "a.zarr")
    journal.begin({"chunks": [1, 2], "source content": "0" * 64, "frame_rate": None})
    with pytest.raises(StoreError) as caught:
        journal.begin({"chunks": [1, 3], "source content": "1" * 64, "frame_rate": None})
    assert caught.value.problem == (
        f"{tmp_path / 'a.zarr'} was begun by another job: chunks were [1, 2], now [1, 3]; another source content"
    )
    assert "overwrite" in caught.value.next_step


def test_what_has_changed_is_said_shortly():
    assert changed_facts({"a": 1}, {"a": 1}) == []
    assert changed_facts({}, {"frame_rate": 2.5}) == ["frame_rate was not given, now 2.5"]
    assert len(changed_facts({"note": "x" * 500}, {"note": "y" * 500})[0]) < 250


def test_a_job_whose_beginning_is_damaged_begins_anew(tmp_path):
    journal = Journal.of(tmp_path / "a.zarr")
    journal.begin({"chunks": [1, 2]})
    journal.append("0", {"unit": 1})
    (journal.folder / "job").write_bytes(b"torn")
    assert not journal.begin({"chunks": [5]})
    assert list(journal.records()) == []


def test_tasks_of_another_job_find_their_own_over(tmp_path):
    journal = Journal(tmp_path / "journal")
    assert journal.of_job() == journal
    journal.begin({"chunks": (16, 4, 4), "source content": "one"})
    own = journal.of_job()
    assert own.is_begun()
    journal.clear()
    assert not own.is_begun()
    journal.begin({"chunks": (16, 4, 4), "source content": "two"})
    assert journal.is_begun()
    assert not own.is_begun()
    journal.clear()
    journal.begin({"chunks": (16, 4, 4), "source content": "one"})
    assert own.is_begun()
