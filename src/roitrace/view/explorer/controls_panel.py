"""How cells are found: image, threshold, cleaning, splitting; every change shows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    CheckboxGroup,
    Column,
    CustomJS,
    RadioButtonGroup,
    RangeSlider,
    Row,
    Select,
    Slider,
    Spinner,
    TextInput,
)

from roitrace.choices import THRESHOLDS
from roitrace.config.file import make_section
from roitrace.config.sections import RoisSection
from roitrace.errors import RoitraceError
from roitrace.levels import LOCAL
from roitrace.view.explorer.look import escaped, field, heading, text, when
from roitrace.view.explorer.session import FRAME
from roitrace.view.palette import PURPLE, robust_limits

if TYPE_CHECKING:
    from bokeh.models import LinearColorMapper

    from roitrace.view.explorer.session import Session, Topic

__all__ = ["ControlsPanel"]

IMAGES = ("mean", "max", "std", "correlation", "median", "min", "skewness")
_WAYS = {"threshold": "threshold", "segment": "segment", "file": "file, hand"}
_SPLITS = {"": "no", "distance": "by shape", "intensity": "by brightness"}
_LAYERS = {"outlines": "outlines", "mask": "mask", "overlap": "shared", "weights": "weights"}
_LEGEND = {
    "overlap": f'<span style="color: {PURPLE}">■</span> pixels of more than one accepted cell',
    "weights": "weights: from dark to yellow, the largest of its cell",
}
_SLIDERS = {
    "percentile": ("percentile", 50.0, 100.0, 0.1, 95.0),
    "mean_sd": ("standard deviations over the mean", 0.0, 8.0, 0.05, 2.0),
    "niblack": ("k", -2.0, 2.0, 0.01, 0.2),
    "sauvola": ("k", -1.0, 1.0, 0.01, 0.2),
}


class ControlsPanel:
    """Widgets of the recipe, filled from the session's and read into a new one.

    Parameters
    ----------
    session : Session
        What they change.
    mapper : LinearColorMapper
        Of the image; the contrast slider moves it in the browser.
    """

    def __init__(self, session: Session, mapper: LinearColorMapper) -> None:
        self._session = session
        self._mapper = mapper
        self._filling = False
        wide = {"sizing_mode": "stretch_width", "margin": (1, 5, 1, 5)}
        self.image = field(Select(title="image", options=[], **wide))
        self.contrast = field(
            RangeSlider(title="contrast (counts)", start=0, end=1, value=(0, 1), step=0.01, **wide)
        )
        self.way = field(RadioButtonGroup(labels=list(_WAYS.values()), **wide))
        self.method = field(
            Select(title="method", options=[(one, one.replace("_", " ")) for one in THRESHOLDS], **wide)
        )
        self.level = self._new_slider("level", 0.0, 1.0, 0.01, 0.0)
        self.block = field(Spinner(title="block (px, odd)", low=3, step=2, value=35, **wide))
        self.diameter = field(TextInput(title="cell diameter (12 um, 10 px, auto)", **wide))
        self.contrast_of_cells = field(
            Slider(title="least contrast of a cell", start=0, end=10, step=0.1, value=2, **wide)
        )
        self.found = text()
        small = {"low": 0, "sizing_mode": "stretch_width", "margin": (1, 5, 1, 5), "width": 60}
        self.numbers = {
            name: field(Spinner(title=label, **small))
            for name, label in (
                ("min_pixels", "least pixels"),
                ("max_pixels", "most pixels"),
                ("opening", "opening (px)"),
                ("closing", "closing (px)"),
                ("min_distance", "distance (px)"),
            )
        }
        self.numbers["max_pixels"].low = 1
        self.numbers["min_distance"].low = 1
        self.switches = field(
            CheckboxGroup(labels=["fill holes", "clear border"], inline=True, margin=(4, 5, 2, 5))
        )
        self.split = field(Select(title="split", options=list(_SPLITS.items()), **wide))
        self.layers = field(CheckboxGroup(labels=list(_LAYERS.values()), inline=True, margin=(4, 5, 2, 5)))
        self.legend = text(margin=(0, 5, 2, 5))
        self._by_threshold = Column(self.method, self.level, self.block, sizing_mode="stretch_width")
        self._by_recipe = Column(self.diameter, self.contrast_of_cells, sizing_mode="stretch_width")
        self._cleaning = Column(
            heading("clean and split"),
            Row(self.numbers["min_pixels"], self.numbers["max_pixels"], sizing_mode="stretch_width"),
            Row(self.numbers["opening"], self.numbers["closing"], sizing_mode="stretch_width"),
            self.switches,
            Row(self.split, self.numbers["min_distance"], sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
        )
        self.layout = Column(
            heading("image"),
            self.image,
            self.contrast,
            self.layers,
            self.legend,
            heading("cells from"),
            self.way,
            self._by_threshold,
            self._by_recipe,
            self.found,
            self._cleaning,
            width=262,
            sizing_mode="stretch_height",
            styles={"overflow-y": "auto", "overflow-x": "hidden"},
        )
        self._limits: dict[str, tuple[float, float]] = session.contrast
        self._fill()
        self._listen()

    def render(self, topics: set[Topic]) -> None:
        """Show what has changed."""
        if topics & {"image", "cells", "mask"}:
            self._fill()
        if topics & {"mask", "image", "cells"}:
            self.found.text = escaped(self._said())

    # -- the session into the widgets ---------------------------------------------------------------------------

    def _fill(self) -> None:
        """Put the session's recipe into the widgets, without hearing them."""
        session, recipe = self._session, self._session.recipe
        self._filling = True
        options = [(FRAME, "frames")] + [
            (one, one if one in session.images else f"{one} (to compute)")
            for one in dict.fromkeys((*IMAGES, *session.images))
        ]
        self.image.options = options
        self.image.value = session.shown
        self._fill_contrast()
        self.way.active = list(_WAYS).index(session.origin)
        self.layers.active = [n for n, name in enumerate(_LAYERS) if name in session.layers]
        self.legend.text = "<br>".join(words for name, words in _LEGEND.items() if name in session.layers)
        self.legend.visible = bool(self.legend.text)
        if recipe.threshold is not None:
            self.method.value = recipe.threshold.method
            self._fill_level()
        if recipe.segment is not None:
            self.diameter.value = recipe.segment.cell_diameter
            self.contrast_of_cells.value = recipe.segment.min_contrast
        clean, label = recipe.clean, recipe.label
        for name in ("min_pixels", "max_pixels", "opening", "closing"):
            self.numbers[name].value = None if clean is None else getattr(clean, name)
        self.numbers["min_distance"].value = None if label is None else label.min_distance
        self.split.value = (None if label is None else label.split) or ""
        self.switches.active = [
            n
            for n, name in enumerate(("fill_holes", "clear_border"))
            if clean is not None and getattr(clean, name)
        ]
        self._by_threshold.visible = session.origin == "threshold"
        self._cleaning.visible = session.origin == "threshold"
        self._by_recipe.visible = session.origin == "segment"
        self._filling = False

    def _fill_contrast(self) -> None:
        values = self._session.image
        shown = self._session.shown if self._session.shown in self._session.images else FRAME
        if values is None:
            return
        if shown not in self._limits:
            self._limits[shown] = robust_limits(values)
            floats = np.asarray(values, dtype=np.float64)
            finite = floats[np.isfinite(floats)]
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
            self._session.ranges[shown] = (low, high if high > low else low + 1)
        low, high = self._session.ranges[shown]
        chosen = self._limits[shown]
        self.contrast.update(
            start=min(low, chosen[0]), end=max(high, chosen[1]), step=(high - low) / 500, value=chosen
        )
        self._mapper.update(low=chosen[0], high=chosen[1])

    def _fill_level(self) -> None:
        """Show the slider that the method needs, at the recipe's value."""
        threshold = self._session.recipe.threshold
        assert threshold is not None
        method = threshold.method
        self.block.visible = method in LOCAL
        if threshold.block_size is not None:
            self.block.value = threshold.block_size
        known = _SLIDERS.get(method)
        if known is not None:
            title, start, end, step, default = known
            given = threshold.percentile if method == "percentile" else threshold.k
            self._slide(title, start, end, step, default if given is None else given)
        elif method == "value":
            low, high = self._range()
            self._slide("level (counts)", low, high, (high - low) / 1000, threshold.value or 0.0)
        elif method in LOCAL:
            low, high = self._range()
            reach = (high - low) / 2
            self._slide("counts below the local level", -reach, reach, reach / 500, threshold.offset)
        self.level.visible = known is not None or method == "value" or method in LOCAL

    def _slide(self, title: str, start: float, end: float, step: float, value: float) -> None:
        """Let the slider stand at a value; where its range changes it is another one, since browsers answer a new range with old values."""
        value = float(np.clip(value, start, end))
        if (self.level.title, self.level.start, self.level.end) != (title, start, end):
            self.level = self._new_slider(title, start, end, step, value)
            self._by_threshold.children = [self.method, self.level, self.block]
        self.level.value = value

    def _new_slider(self, title: str, start: float, end: float, step: float, value: float) -> Slider:
        slider = field(
            Slider(
                title=title,
                start=start,
                end=end,
                step=step,
                value=value,
                sizing_mode="stretch_width",
                margin=(1, 5, 1, 5),
            )
        )
        when(slider, "value", lambda _: self._changed())
        return slider

    def _range(self) -> tuple[float, float]:
        image = self._session.images.get(self._session.recipe.image[0])
        if image is None:
            return 0.0, 1.0
        low, high = float(np.nanmin(image.values)), float(np.nanmax(image.values))
        return (low, high) if low < high else (low, low + 1)

    def _said(self) -> str:
        """Say in a line what the recipe found."""
        session = self._session
        rois = session.cells.rois
        cells = f"{len(rois)} cells, {int(rois.accepted.sum())} accepted"
        if session.origin != "file" and session.recipe.image[0] not in session.images:
            return f"needs the image {session.recipe.image[0]}: choose it above"
        level = {} if session.mask is None else session.mask.attrs
        return f"{cells}; level {level['level']:.5g} counts" if "level" in level else cells

    # -- the widgets into the session ---------------------------------------------------------------------------

    def _listen(self) -> None:
        when(self.image, "value", self._choose_image)
        for end, place in (("low", 0), ("high", 1)):
            self.contrast.js_on_change(
                "value", CustomJS(args={"mapper": self._mapper}, code=f"mapper.{end} = this.value[{place}]")
            )
        when(self.contrast, "value_throttled", self._keep_contrast)
        when(self.layers, "active", self._show_layers)
        when(self.way, "active", lambda new: self._choose_way(list(_WAYS)[new]))
        when(self.method, "value", self._choose_method)
        heard: list[tuple[Any, str]] = [(one, "value") for one in self.numbers.values()]
        heard += [
            (self.level, "value"),
            (self.block, "value"),
            (self.split, "value"),
            (self.switches, "active"),
        ]
        heard += [(self.diameter, "value"), (self.contrast_of_cells, "value")]
        for widget, name in heard:
            when(widget, name, lambda _: self._changed())

    def _choose_image(self, name: str) -> None:
        if self._filling:
            return
        self._session.show(name)
        if name != FRAME and self._session.origin != "file" and (name,) != self._session.recipe.image:
            self._take({"image": [name]})

    def _keep_contrast(self, value: tuple[float, float]) -> None:
        shown = self._session.shown if self._session.shown in self._session.images else FRAME
        self._limits[shown] = (float(value[0]), float(value[1]))

    def _show_layers(self, active: list[int]) -> None:
        if not self._filling:
            self._session.show_layers(frozenset(list(_LAYERS)[number] for number in active))

    def _choose_way(self, way: str) -> None:
        if self._filling or way == self._session.origin:
            return
        if way == "file":
            self._session.take_file()
        elif way == "segment":
            size = "12 um" if self._session.frame.pixel_size else "auto"
            self._take({"segment": {"cell_diameter": size}, "threshold": None, "clean": None, "label": None})
        else:
            self._take({"segment": None, "threshold": {"method": "otsu"}})

    def _choose_method(self, method: str) -> None:
        if self._filling:
            return
        threshold: dict[str, Any] = {"method": method}
        if method == "value":
            level = {} if self._session.mask is None else self._session.mask.attrs
            found = level.get("level")
            threshold["value"] = float(found) if isinstance(found, float) else float(np.mean(self._range()))
        elif method == "percentile":
            threshold["percentile"] = _SLIDERS[method][4]
        elif method in LOCAL:
            threshold["block_size"] = self._block()
        self._take({"threshold": threshold})

    def _block(self) -> int:
        least = min(self._session.frame.shape)
        return int(min(int(self.block.value or 35) | 1, least - 1 + least % 2))

    def _changed(self) -> None:
        """Read all widgets into a recipe."""
        if self._filling or self._session.origin == "file":
            return
        if self._session.origin == "segment":
            self._take(
                {
                    "segment": {
                        "cell_diameter": self.diameter.value,
                        "min_contrast": float(self.contrast_of_cells.value),
                    }
                }
            )
            return
        method = self.method.value
        threshold: dict[str, Any] = {"method": method}
        value = float(self.level.value)
        if method in {"value", "percentile"}:
            threshold[method] = value
        elif method in _SLIDERS:
            threshold["k"] = value
        if method in LOCAL:
            threshold["block_size"] = self._block()
            if method not in _SLIDERS:
                threshold["offset"] = value
        numbers = {name: None if one.value is None else int(one.value) for name, one in self.numbers.items()}
        clean: dict[str, Any] = {name: numbers[name] for name in ("min_pixels", "max_pixels")}
        clean |= {name: numbers[name] or 0 for name in ("opening", "closing")}
        clean |= {"fill_holes": 0 in self.switches.active, "clear_border": 1 in self.switches.active}
        split = self.split.value or None
        label = {"split": split, "min_distance": numbers["min_distance"] if split else None}
        self._take({"threshold": threshold, "clean": clean, "label": label})

    def _take(self, changes: dict[str, Any]) -> None:
        values = self._session.recipe.model_dump() | changes
        try:
            recipe = make_section(RoisSection, {key: one for key, one in values.items() if one is not None})
        except RoitraceError as problem:
            self._session.say(str(problem), "error")
            return
        self._session.find_by(recipe)
