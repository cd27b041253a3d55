"""The HTML around the plots: every text of a user escaped, every script known by its digest, no network."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from roitrace.formats.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["assemble", "definitions", "rows_of_bars", "section", "table"]

_SCRIPTS = ("decode.js", "maps.js", "traces.js", "pixels.js", "table.js", "main.js")


def assemble(title: str, body: str, data: Mapping[str, Any], plots: Mapping[str, Any]) -> str:
    """Put a page together; where `body` holds ``{plot:key}`` the plot of that key is shown.

    The page has a content security policy that allows the scripts of this package and of Bokeh by their digests, and
    nothing from anywhere else.
    """
    embed, resources = (
        import_extra("bokeh.embed", "app", "a report"),
        import_extra("bokeh.resources", "app", "a report"),
    )
    scripts = [_library(resources)]
    placed: dict[str, str] = {}
    if plots:
        script, placed = embed.components(dict(plots))
        scripts.append(_inside(script))
    own = files("roitrace.view.report").joinpath("web")
    scripts.append("\n".join(own.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS))
    style = own.joinpath("report.css").read_text(encoding="utf-8")
    for key, place in placed.items():
        body = body.replace(f"{{plot:{key}}}", place)
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; font-src data:; "
        f"style-src 'unsafe-inline'; script-src {' '.join(map(_digest, scripts))}"
    )
    tags = "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="roitrace">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="roitrace-data">{_json(data)}</script>\n{tags}\n</body>\n</html>\n'
    )


def section(name: str, heading: str, content: str, lead: str = "") -> str:
    """Return a section of the page; `heading` and `lead` are texts, `content` is HTML."""
    said = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{said}{content}</section>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a list."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str = "") -> str:
    """Return a table of texts."""
    top = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>" for row in rows)
    return f'<table class="plain" id="{name}"><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>'


def rows_of_bars(numbers: Sequence[tuple[str, float]], unit: str) -> str:
    """Return numbers as bars of a common scale."""
    largest = max((number for _, number in numbers), default=0.0) or 1.0
    rows = "".join(
        f'<div class="bar-name">{escape(name)}</div>'
        f'<div class="bar"><span style="width: {100 * number / largest:.2f}%"></span></div>'
        f'<div class="bar-number">{number:.3g} {escape(unit)}</div>'
        for name, number in numbers
    )
    return f'<div class="bars">{rows}</div>'


def _library(resources: Any) -> str:
    """Return Bokeh's own script, without what only widgets and tables need."""
    inline = resources.Resources(mode="inline", components=["bokeh"], log_level="error")
    return "\n".join(inline.js_raw)


def _inside(tag: str) -> str:
    """Return what stands between the two ends of a script tag."""
    return tag.partition(">")[2].rpartition("</script>")[0]


def _digest(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _json(data: Mapping[str, Any]) -> str:
    """Write JSON that no browser takes for the end of its script, or for a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
