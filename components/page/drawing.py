"""How every chart looks, and how a matplotlib drawing becomes part of a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure as Canvas

from components.page.wording import printable

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

WIDTH = 7.2  # inches: the page's column of 46 rem, so that 9 points appear as 12.8 pixels
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_REM_PER_POINT = 46 / (WIDTH * 72)
INK, MUTED, RULE, PAPER = "#1c2024", "#5f666d", "#d9dde1", "#ffffff"
SERIES = ("#0b62b0", "#c2500a", "#00795c", "#8a3fa6", "#7a6200", "#a8324a")
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    **{colour: f"series-{index + 1}" for index, colour in enumerate(SERIES)},
}  # the page's style gives these, in light and in dark
_STYLE: dict[RcKeyType, Any] = {
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same measures on every machine
    "font.size": 9,
    "figure.facecolor": PAPER,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "page",
    "text.color": INK,
    "text.parse_math": False,  # a label with two dollars is no formula
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with these settings whatever the user's matplotlibrc says.

    A letter that the font lacks is no reason to warn: the page shows it in a font of the reader's.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def inline(canvas: Canvas, title: str, prefix: str) -> str:
    """Return the canvas as an SVG element that shares a page with others: own ids, the page's colours and type."""
    canvas.set_facecolor("none")
    for axes in canvas.axes:
        axes.set_facecolor("none")
    drawn = io.BytesIO()
    canvas.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(drawn.getvalue())  # noqa: S314  matplotlib's own bytes
    used = set(re.findall(r"#([\w-]+)", " ".join(_references(root))))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    for element in root.iter():
        _adopt(element, prefix, used)
    points = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    root.attrib.update({"class": "chart", "role": "img", "aria-label": printable(title)})
    root.set("style", f"--width: {points * _REM_PER_POINT:.1f}rem")
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        yield from (value for key, value in element.attrib.items() if key != "id" and "#" in value)


def _adopt(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    """Give an element the page's colours and type, and keep its id only where something points to it."""
    element.tag = element.tag.removeprefix(_SVG)  # HTML knows svg by its name
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", prefix + identity)
    for key, value in list(element.attrib.items()):
        if key == _LINK:
            del element.attrib[key]
            element.set("href", f"#{prefix}{value[1:]}")
        elif key == "clip-path":
            element.set(key, value.replace("url(#", f"url(#{prefix}"))
        elif key == "style":
            value = re.sub(r"font-family: [^;]*;?|(?<=px) ('[^']*'|[\w-]+)(, ('[^']*'|[\w-]+))*", "", value)
            for colour, variable in _VARIABLES.items():
                value = value.replace(colour, f"var(--{variable})")
            element.set(key, value.strip())
