from __future__ import annotations

import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure

from roitrace.errors import ArgumentError, JobError
from roitrace.view.maps import plot_rois
from roitrace.view.save import save_figure


@pytest.fixture
def figure(rois, image, ax):
    return plot_rois(rois, image, ax=ax).figure


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, rois, image, suffix):
    files = []
    for name in ("one", "two"):
        ax = Figure(layout="constrained").subplots()
        files.append(save_figure(plot_rois(rois, image, ax=ax).figure, tmp_path / f"{name}{suffix}"))
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert b"Date" not in first
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_text_stays_text_and_outlines_stay_lines(tmp_path, figure):
    drawn = save_figure(figure, tmp_path / "map.svg").read_text(encoding="utf-8")
    assert ">20 µm</text>" in drawn
    assert 'id="accepted"' in drawn


def test_settings_are_put_back(tmp_path, figure):
    before = rcParams.copy()
    save_figure(figure, tmp_path / "map.svg")
    assert rcParams == before


def test_an_older_figure_is_replaced(tmp_path, figure):
    path = tmp_path / "map.png"
    path.write_text("old")
    assert save_figure(figure, str(path)).read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_written_is_refused(tmp_path, figure):
    with pytest.raises(ArgumentError, match=r"'map\.gif'; end the name in \.png"):
        save_figure(figure, tmp_path / "map.gif")
    with pytest.raises(ArgumentError, match="does not exist"):
        save_figure(figure, tmp_path / "none" / "map.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(JobError, match="cannot be written"):
        save_figure(figure, tmp_path / "taken.png")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]


def test_axes_stand_for_their_figure(tmp_path, figure):
    whole = save_figure(figure, tmp_path / "figure.png").read_bytes()
    assert save_figure(figure.axes[0], tmp_path / "axes.png").read_bytes() == whole
    for wrong in (None, "figure.png", figure.axes):
        with pytest.raises(ArgumentError, match="what a plot_ function returned"):
            save_figure(wrong, tmp_path / "wrong.png")
    assert not (tmp_path / "wrong.png").exists()
