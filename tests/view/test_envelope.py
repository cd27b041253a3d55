from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.view.envelope import envelope


@given(st.integers(0, 2**31), st.integers(1, 400), st.integers(1, 30), st.booleans())
@settings(max_examples=50, deadline=None)
def test_every_stretch_keeps_its_extremes_at_their_own_times(seed, frames, stretches, gaps):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, frames))
    if gaps:
        values[rng.random(values.shape) < 0.3] = np.nan
    time = np.cumsum(rng.uniform(0.1, 1, frames))
    drawn_time, drawn = envelope(time, values, stretches)
    assert drawn.shape == drawn_time.shape == (2, min(frames, 2 * stretches))
    assert np.all(np.diff(drawn_time, axis=1) >= 0)
    frame = np.searchsorted(time, drawn_time)
    np.testing.assert_array_equal(drawn, np.take_along_axis(values, frame, axis=1))
    if frames > 2 * stretches:
        borders = np.linspace(0, frames, stretches + 1).astype(int)
        for n in range(stretches):
            part, pair = values[:, borders[n] : borders[n + 1]], drawn[:, 2 * n : 2 * n + 2]
            for row, shown in zip(part, pair, strict=True):
                numbers = row[~np.isnan(row)]
                if numbers.size:
                    assert {numbers.min(), numbers.max()} == set(shown.tolist())
                else:
                    assert np.isnan(shown).all()


def test_short_traces_are_drawn_as_they_are():
    values = np.array([[1.0, np.nan, 3.0, 4.0]])
    assert envelope(np.arange(4.0), values, 2)[1] is values


def test_no_traces():
    time, drawn = envelope(np.arange(100.0), np.zeros((0, 100)), 10)
    assert time.shape == drawn.shape == (0, 20)
