"""How the page looks: one quiet sheet of style, headings, and text that shows what users typed as they typed it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from bokeh.models import Button, Div

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PAGE", "PLOT", "TABLE", "button", "escaped", "field", "heading", "text", "when"]

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

PAGE = """
{% block preamble %}
<link rel="icon" href="data:,">
<style>
  html, body { height: 100%; margin: 0; background: #fbfbfa; color: #222; }
  body { font-family: __FONT__; overflow: hidden; }
</style>
{% endblock %}
""".replace("__FONT__", _FONT)

# texts and no models of Bokeh: a model belongs to one page
FIELD = f"""
:host {{ font-family: {_FONT}; font-size: 12px; color: #333; }}
.bk-input, .bk-btn {{ font-family: {_FONT}; font-size: 12px; }}
.bk-input {{ min-height: 24px; padding: 1px 6px; border-color: #cfcfcc; }}
select.bk-input {{ padding-right: 18px; }}
.bk-input-group > label, .bk-slider-title {{ font-size: 11px; color: #666; }}
.bk-btn {{ padding: 3px 6px; border-color: #cfcfcc; }}
.noUi-connect {{ background: #0072B2; }}
"""
TABLE = f"""
:host {{ font-family: {_FONT}; font-size: 12px; }}
.slick-cell.selected {{ background-color: #fde7bd; }}
"""
PLOT = ":host(:focus), :host(:focus-visible) { outline: none; }"
_TEXT = f":host {{ font-family: {_FONT}; font-size: 12px; color: #444; line-height: 1.35; }}"
_HEADING = f""":host {{ font-family: {_FONT}; font-size: 11px; font-weight: 600; color: #0072B2; letter-spacing: 0.04em;
    text-transform: uppercase; border-bottom: 1px solid #e3e3e0; }}"""


def escaped(what: object) -> str:
    """Return text for HTML that shows as it is."""
    return html.escape(str(what), quote=True)


def text(shown: str = "", **more: Any) -> Div:
    """Return HTML; whatever a user typed must come through `escaped`."""
    given = {"sizing_mode": "stretch_width", "margin": (2, 5, 2, 5)} | more
    return Div(text=shown, disable_math=True, stylesheets=[_TEXT], **given)


def heading(shown: str) -> Div:
    """Return a heading of a group of controls."""
    return Div(
        text=escaped(shown),
        disable_math=True,
        stylesheets=[_HEADING],
        sizing_mode="stretch_width",
        margin=(8, 5, 2, 5),
    )


def button(label: str, **more: Any) -> Button:
    """Return a small button."""
    return field(Button(label=label, **({"margin": (2, 3, 2, 3)} | more)))


def field(widget: Any) -> Any:
    """Give a widget the style of the page."""
    widget.stylesheets = [FIELD, *widget.stylesheets]
    return widget


def when(widget: Any, name: str, act: Callable[[Any], object]) -> None:
    """Call `act` with the new value whenever a property of a widget changes."""
    widget.on_change(name, lambda attr, old, new: act(new))  # noqa: ARG005 - the signature that Bokeh asks for
