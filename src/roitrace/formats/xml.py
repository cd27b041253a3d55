"""XML of microscopes: parsed without entities, which could grow without bound, and no larger than a file explains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from xml.etree import ElementTree as ET

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["parse_xml", "read_xml"]

FREE_ELEMENTS = 250_000
"""So many elements are read however short they are."""
LEAST_BYTES = 40
"""Elements beyond these take so many bytes each, on average; in memory they take some hundred."""


def read_xml(path: str | Path) -> Element:
    """Return the root of a document in a file.

    Raises
    ------
    FormatError
        As `parse_xml`.
    """
    return parse_xml(Path(path).read_bytes(), f"{path}")


def parse_xml(text: str | bytes, what: str) -> Element:
    """Return the root of a document.

    Parameters
    ----------
    text : str or bytes
        The document.
    what : str
        Where it is from, for the message.

    Raises
    ------
    FormatError
        If it is damaged, declares a document type or entities, or holds unreasonably many elements.

    Examples
    --------
    >>> parse_xml("<PVScan version='5.6'/>", "scan.xml").get("version")
    '5.6'
    """
    parser = ET.XMLParser(target=_Builder(what, FREE_ELEMENTS + len(text) // LEAST_BYTES))
    with understanding(
        f"{what} is damaged", "copy it again, or write it again with the program that made it"
    ):
        parser.feed(text)
        root: Element = parser.close()
    return root


class _Builder(ET.TreeBuilder):
    """Builds the tree as the parser meets its parts, and stops where they are none of a microscope."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__()
        self._what = what
        self._left = most

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:  # noqa: ARG002
        """Refuse: entities are declared there and nowhere else."""
        raise FormatError(
            f"{self._what} declares XML entities, which microscopes do not write",
            "copy it again from the microscope",
        )

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._left -= 1
        if self._left < 0:
            raise FormatError(
                f"{self._what} has too many elements", "it may be damaged, or made to fill the memory"
            )
        return super().start(tag, attrs)
