from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roitrace.errors import ArgumentError, MetadataError
from roitrace.units import (
    format_budget,
    format_bytes,
    format_count,
    parse_bytes,
    parse_length,
    require_frame_rate,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2 GiB", 2 * 2**30),
        ("2GB", 2 * 10**9),
        ("2 g", 2 * 2**30),
        ("500MB", 500 * 10**6),
        (" 1.5 kib ", 1536),
        ("1e3", 1000),
        (".5 MiB", 2**19),
        ("7 B", 7),
        ("1 TiB", 2**40),
        (123, 123),
        (1e6, 1_000_000),
    ],
)
def test_memory_is_read_as_people_write_it(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "two GiB", "-1 GiB", "1 XB", "1 GiB or so", "1.2.3"])
def test_what_is_no_memory(text):
    with pytest.raises(ArgumentError, match='no amount of memory; write it like "2 GiB"'):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("12 um", (12.0, "micrometer")),
        ("12µm", (12.0, "micrometer")),
        ("0.5 micrometer", (0.5, "micrometer")),
        ("10 px", (10.0, "pixel")),
        ("10", (10.0, "pixel")),
        (8, (8.0, "pixel")),
    ],
)
def test_lengths(text, length):
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["", "um", "3 mm", "-2 um", "3 um wide"])
def test_what_is_no_length(text):
    with pytest.raises(ArgumentError, match='no length; write it like "12 um"'):
        parse_length(text)


def test_bytes_for_a_person():
    assert [format_bytes(n) for n in (0, 1023, 1024, 3 * 2**20, 5.5 * 2**30, 2**41)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "3.0 MiB",
        "5.5 GiB",
        "2.0 TiB",
    ]


@given(st.integers(0, 2**50))
def test_a_budget_that_is_written_down_is_enough(count):
    assert count <= parse_bytes(format_budget(count)) < count + 2**20


def test_counts():
    assert [format_count(n, "cell") for n in (0, 1, 2, 12345)] == [
        "0 cells",
        "1 cell",
        "2 cells",
        "12,345 cells",
    ]


def test_seconds_need_a_frame_rate():
    assert require_frame_rate(7.5, "the window") == 7.5
    with pytest.raises(MetadataError, match="the window is asked in seconds, .* give frame_rate="):
        require_frame_rate(None, "the window")
