"""Draw figures and find what is on them."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg

ODD_NAMES = ("$a_1$", "\\frac{", "細胞 2 🧠")


def draw(ax):
    """Draw the whole figure: some things break or warn only then."""
    FigureCanvasAgg(ax.figure).draw()
    return ax


def heading(ax):
    return ax.get_title(loc="left")


def artist(ax, gid):
    """The one artist with an id."""
    (found,) = [one for one in ax.get_children() if one.get_gid() == gid]
    return found


def loops(ax, gid):
    """Vertices of each path of an outline collection."""
    return [path.vertices.tolist() for path in artist(ax, gid).get_paths()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def boxes_overlap(first, second):
    return first.x0 < second.x1 and second.x0 < first.x1 and first.y0 < second.y1 and second.y0 < first.y1
