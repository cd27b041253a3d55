"""The benchmark of accuracy in its quick form, and how it chooses."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.accuracy import CONDITIONS, FAMILIES, PLAIN, Choice, choose, run, tables, variations


def made_up(**better):
    """Scores of 1 everywhere but for some choices."""
    rows = {name: {"plain": [{"rmse": 1.0, "correlation": 0.5}]} for name in variations()}
    for name, rmse in better.items():
        family, _, choice = name.partition("__")
        rows[f"{family}: {choice}"] = {"plain": [{"rmse": rmse, "correlation": 0.9}]}
    return rows


def test_every_choice_differs_from_the_plain_mean_in_one_thing():
    choices = variations()
    assert len(choices) == sum(len(names) for names in FAMILIES.values())
    for name, choice in choices.items():
        family, _, value = name.partition(": ")
        assert getattr(choice, family) == value
        assert sum(getattr(choice, other) != getattr(PLAIN, other) for other in FAMILIES) <= 1


def test_the_best_of_each_family_is_taken_but_never_the_truth():
    scores = made_up(weights__footprint=0.1, weights__snr=0.5, overlap__exclude=0.8, aggregation__median=0.7)
    assert choose(scores) == Choice("mean", "snr", "exclude", "none")
    assert choose(made_up(aggregation__median=0.5, overlap__least_squares=0.6)) == Choice(
        "median", "none", "exclude", "none"
    )


@pytest.fixture(scope="module")
def quick():
    return run(seeds=2, shape=(300, 64, 64), n_rois=6, conditions=("plain", "overlap"))


def test_the_quick_form_scores_every_choice(quick):
    assert set(quick["scores"]) == {*variations(), "chosen", "default"}
    assert quick["seeds"] == {"chosen on": [0], "reported on": [1]}
    values = [one[key] for rows in quick["scores"].values() for one in rows.values() for key in one]
    assert np.isfinite(values).all()


def test_what_was_chosen_beats_the_plain_mean_on_seeds_it_has_not_seen(quick):
    for condition in ("plain", "overlap"):
        assert (
            quick["scores"]["chosen"][condition]["rmse"]
            < quick["scores"]["aggregation: mean"][condition]["rmse"]
        )


def test_overlap_rules_help_where_cells_overlap(quick):
    rows = quick["scores"]
    for rule in ("exclude", "split", "nearest", "least_squares"):
        assert rows[f"overlap: {rule}"]["overlap"]["rmse"] < rows["overlap: keep"]["overlap"]["rmse"]


def test_the_table_has_a_row_for_each_choice(quick):
    lines = tables(quick).splitlines()
    assert lines[0] == "| | plain | overlap |"
    assert len(lines) == 2 + len(variations()) + 2
    assert "**" in lines[2]


@pytest.mark.slow
def test_what_was_chosen_beats_the_plain_mean_in_every_condition():
    results = run(seeds=4)
    for condition in CONDITIONS:
        chosen, plain = (results["scores"][name][condition] for name in ("chosen", "aggregation: mean"))
        if condition == "low light":
            # where photons are few, F0 without the neuropil is small, and the same noise is more of it
            assert chosen["correlation"] > plain["correlation"] - 0.05
        else:
            assert chosen["rmse"] < plain["rmse"], condition
