from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.declarations import DECLARATIONS
from roitrace.engine.statistics import Statistic, make, moments_needed, resolve
from roitrace.errors import ArgumentError

ORDERED = [kind for kind, declaration in DECLARATIONS.items() if declaration.order is not None]


def test_names_become_statistics_with_their_defaults():
    assert resolve(("mean", "percentile"))[1].parameters == (("q", 50.0),)
    assert resolve("std") == (stat.std(),)
    assert resolve(("trimmed_mean", "mean"), proportion_to_cut=0.3)[0].parameters == (
        ("proportion_to_cut", 0.3),
    )
    assert resolve(stat.trimmed_mean(0.25), proportion_to_cut=0.3) == (stat.trimmed_mean(0.25),)


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_every_declaration_has_a_constructor_and_a_definition(kind):
    needed = {
        "percentile": {"q": 50},
        "coefficient_of_variation": {"offset": 100},
        "correlation": {"detrend": 60},
    }
    made = getattr(stat, kind)(**needed.get(kind, {}))
    one = made if isinstance(made, Statistic) else made[0]
    assert one == make(
        kind, name=one.name, **{key: value for key, value in one.parameters if key == "offset"}
    )
    declaration = one.declaration
    assert declaration.doc
    assert [declaration.finish, declaration.order, declaration.location].count(None) == 2


def test_statistics_say_what_they_are():
    assert str(stat.percentile(90, name="p90")) == "percentile(q=90)"
    assert str(stat.mean()) == "mean"
    assert stat.percentile(90, name="p90").name == "p90"


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: make("meen"), "there is no statistic 'meen'; did you mean 'mean'"),
        (lambda: make("xyz"), "there is no statistic 'xyz'; there are mean, sum"),
        (lambda: make("mean", q=3), "mean has no parameter 'q'; it has none"),
        (lambda: make("std", q=3), "std has no parameter 'q'; it has ddof"),
        (lambda: stat.percentile(101), r"percentile\(q=101\) is out of range; expected 0 <= q <= 100"),
        (lambda: stat.percentile(-0.1), "out of range"),
        (lambda: stat.percentile(math.nan), "out of range"),
        (lambda: stat.percentile("90"), "out of range"),
        (lambda: stat.trimmed_mean(0.5), "out of range"),
        (lambda: stat.winsorized_mean(-0.1), "out of range"),
        (lambda: stat.std(ddof=-1), "out of range"),
        (lambda: resolve(()), "no statistic was asked for"),
        (lambda: resolve(("mean", 3)), "3 is no statistic"),
        (lambda: resolve(("mean", "mean")), "two statistics are named 'mean'; name one of them"),
        (lambda: resolve("huber", over_time=True), "'huber' is no projection over time; there are mean, sum"),
        (lambda: resolve(("mean", "weighted_mean"), over_time=True), "'weighted_mean' is no projection"),
    ],
)
def test_what_is_refused(make_it, message):
    with pytest.raises(ArgumentError, match=message):
        make_it()


def test_the_same_statistic_twice_under_two_names():
    two = resolve((stat.percentile(90), stat.percentile(10, name="low")))
    assert [one.name for one in two] == ["percentile", "low"]


def test_projections_share_their_sums():
    assert moments_needed(resolve(("mean", "std", "max"))) == {"count", "total", "spread", "maximum"}
    assert moments_needed(()) == frozenset()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ORDERED), st.integers(1, 3000), st.floats(0, 1))
def test_orders_read_only_sorted_samples_that_are_there(kind, count, fraction):
    key, (_, lowest, highest) = next(iter(DECLARATIONS[kind].parameters.items()), ("", (0, 0, 0)))
    parameters = {key: lowest + fraction * (highest - lowest)} if key else {}
    order = DECLARATIONS[kind].order(count, **parameters)
    if order.segments:
        assert all(0 <= start <= stop <= count for start, stop, _ in order.segments)
        taken = sum((stop - start) * times for start, stop, times in order.segments)
        assert taken == order.denominator > 0
    else:
        assert 0 <= order.low <= order.high < count
        assert 0 <= order.gamma < 1


def test_statistics_are_values():
    weights = np.ones(3)
    assert stat.trimmed_mean(0.1) == make("trimmed_mean", proportion_to_cut=0.1)
    assert isinstance(stat.weighted_mean(weights=[1, 2]).weights, np.ndarray)
    assert hash(stat.weighted_mean(weights=weights)) == hash(Statistic("weighted_mean", "weighted_mean"))
