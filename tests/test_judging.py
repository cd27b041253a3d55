from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import ArgumentError, LazyInputError
from roitrace.judging import broken_rules, judge, parse_rule, parse_rules
from roitrace.rois import Rois


def cells():
    return Rois.from_labels(np.arange(1, 5)[None])


def table(**columns):
    return xr.Dataset(
        {name: ("roi", values) for name, values in columns.items()}, coords={"roi": list("1234")}
    )


def test_rois_that_break_a_rule_are_rejected_with_all_reasons():
    measures = table(peak_snr=[5.0, 2.0, 1.0, np.nan], overlap_fraction=[0.0, 0.1, 0.8, 0.0])
    judged = judge(cells(), measures, ["peak_snr >= 2", "overlap_fraction < 0.5"])
    assert judged.accepted.tolist() == [True, True, False, False]
    assert judged.reasons[2] == "peak_snr 1, expected >= 2; overlap_fraction 0.8, expected < 0.5"
    assert judged.reasons[3] == "peak_snr nan, expected >= 2"
    assert len(judged) == 4


def test_what_was_rejected_stays_so_with_its_reason():
    rois = cells().reject([0, 1], "dark")
    judged = judge(rois, table(noise=[9.0, 1.0, 9.0, 1.0]), "noise <= 2")
    assert judged.accepted.tolist() == [False, False, False, True]
    assert judged.reasons == ("dark", "dark", "noise 9, expected <= 2", "")


def test_reasons_are_counted_by_measure_and_those_of_people_as_they_are():
    rois = cells().reject([0], "by hand")
    judged = judge(
        rois, table(noise=[9.0, 9.0, 1.0, 9.0], level=[0.0, -1.0, 0.0, 0.0]), ["noise <= 2", "level >= 0"]
    )
    assert broken_rules(judged.reasons) == {"by hand": 1, "noise": 2, "level": 1}


def test_rules_are_checked_without_the_values():
    lazy = table(noise=[1.0] * 4).chunk()
    assert [str(one) for one in parse_rules(lazy, "noise > 1")] == ["noise > 1"]
    with pytest.raises(ArgumentError, match="no measure 'nois'; did you mean 'noise'"):
        parse_rules(lazy, ["noise > 1", "nois > 1"])


@pytest.mark.parametrize(
    ("text", "holds"), [("a > 1", False), ("a>=1", True), (" a < 1.5e0 ", True), ("a <= -1", False)]
)
def test_rules_are_read(text, holds):
    rule = parse_rule(text)
    assert rule.measure == "a"
    assert rule.holds(1.0) is holds
    assert not rule.holds(np.nan)


@pytest.mark.parametrize("text", ["noise", "noise = 3", "noise > x", "3 < noise", "noise > 1-2", 7])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ArgumentError, match="is no rule"):
        parse_rule(text)


def test_the_table_has_to_fit():
    with pytest.raises(ArgumentError, match="no measure 'nois'; did you mean 'noise'"):
        judge(cells(), table(noise=[1.0] * 4), "nois > 1")
    with pytest.raises(ArgumentError, match="the table names other ROIs"):
        judge(cells()[:2], table(noise=[1.0] * 4), "noise > 1")
    with pytest.raises(ArgumentError, match="4 rows for 2 ROIs"):
        judge(cells()[:2], table(noise=[1.0] * 4).drop_vars("roi"), "noise > 1")
    with pytest.raises(LazyInputError, match="'noise' is lazy"):
        judge(cells(), table(noise=[1.0] * 4).chunk(), "noise > 1")
