"""Charts drawn with matplotlib: SVG for a page, whose colours follow it, and pictures with the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import Formatter, MaxNLocator

from components.page.drawing import INK, MUTED, RULE, SERIES, WIDTH, inline, style
from components.page.facts import ConfusionMatrix, Curves, Dot, Intervals, Panel
from components.page.wording import brief, number

_LABEL, _AXIS = 32, 80  # letters that there is room for
_POINTS_PER_DIGIT = 5.73  # DejaVu Sans at 9 points
_STEPS = [1, 2, 5, 10]  # ticks stand at round numbers
_MARKED = 60  # a curve of at most so many points shows them


class _Ticks(Formatter):
    """Numbers along an axis, all with as many decimals as tell them apart."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        """Return one number by itself."""
        return number(value)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the numbers at all ticks."""
        places = next((n for n in range(9) if all(abs(round(value, n) - value) < 1e-12 for value in values)), None)
        return [number(value, places) for value in values]


def curves(chart: Curves, prefix: str) -> str:
    """Return the curves as an SVG element for use in HTML; `prefix` begins its ids, one for each chart of a page."""
    with style():
        heights = [2.5, *[1.2] * (len(chart.panels) - 1)]
        canvas = Canvas(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
        grid = canvas.subplots(len(chart.panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, panel in zip(grid[:, 0], chart.panels, strict=True):
            _draw_panel(axes, panel)
        grid[-1, 0].set_xlabel(brief(chart.x_label, _AXIS))
        return inline(canvas, chart.title, prefix)


def intervals(chart: Intervals, prefix: str) -> str:
    """Return dots and whiskers as an SVG element for use in HTML, the numbers to the right of them."""
    with style():
        return inline(_interval_canvas(chart), chart.title, prefix)


def confusion(chart: ConfusionMatrix, prefix: str) -> str:
    """Return the confusion matrix as an SVG element for use in HTML; a cell is shaded by its share of the row."""
    with style():
        return inline(_confusion_canvas(chart), chart.title, prefix)


def confusion_png(chart: ConfusionMatrix) -> bytes:
    """Return the confusion matrix as a PNG file on white, 200 dots an inch; the same matrix gives the same bytes."""
    with style():
        picture = io.BytesIO()
        _confusion_canvas(chart).savefig(picture, format="png", dpi=200, metadata={"Software": None})
        return picture.getvalue()


def _draw_panel(axes: Axes, panel: Panel) -> None:
    drawn: list[Line2D] = []
    for line, colour in zip(panel.lines, _colours(len(panel.lines)), strict=True):
        if len(line.x) <= _MARKED:
            drawn += axes.plot(line.x, line.y, color=colour, linewidth=1.6, marker="o", markersize=3)
        else:
            drawn += axes.plot(line.x, line.y, color=colour, linewidth=1.0, alpha=0.8)
    axes.set_title(brief(panel.y_label, _AXIS))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    axes.yaxis.set_major_formatter(_Ticks())
    whole = all(float(x).is_integer() for line in panel.lines for x in line.x)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS, integer=whole))
    axes.xaxis.set_major_formatter(_Ticks())
    axes.margins(x=0.01)
    if len(drawn) > 1:
        columns = min(3, len(drawn))
        names = [str(place) for place in range(len(drawn))]
        # Above the panel, where it lies on no curve.
        above = {"bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.0}
        legend = axes.legend(drawn, names, loc="lower right", ncols=columns, handlelength=1.4, **above)
        for text, line in zip(legend.get_texts(), panel.lines, strict=True):
            text.set_text(brief(line.label, _LABEL))  # as a name, one that begins with "_" would be left out


def _interval_canvas(chart: Intervals) -> Canvas:
    groups = list(dict.fromkeys(row.group for row in chart.rows))
    labels = list(dict.fromkeys(row.label for row in chart.rows))
    colours = (
        dict(zip(labels, _colours(len(labels)), strict=True)) if len(groups) > 1 else dict.fromkeys(labels, SERIES[0])
    )
    places: list[tuple[float, str, Dot | None]] = []  # from the top: a group's name, then its rows
    y = 0.0
    for group in groups:
        if group:
            places.append((y, group, None))
            y += 1
        for row in chart.rows:
            if row.group == group:
                places.append((y, row.label, row))
                y += 1
        y += 0.35
    canvas = Canvas(figsize=(WIDTH, 0.62 + 0.235 * y), layout="constrained")
    axes = canvas.subplots()
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    if chart.reference is not None:
        axes.axvline(chart.reference, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    dots = [(y, dot) for y, _, dot in places if dot is not None]
    for y, dot in dots:
        _draw_dot(axes, y, dot, colours[dot.label])
    _write_numbers(axes, dots, chart.digits)
    axes.set_yticks([y for y, _, _ in places], [brief(text, _LABEL) for _, text, _ in places])
    for tick, (_, _, place) in zip(axes.get_yticklabels(), places, strict=True):
        tick.set(color=INK, fontweight="bold" if place is None else "normal")
    axes.set_ylim(places[-1][0] + 0.6, -0.6)
    axes.set_xlabel(brief(chart.unit, _AXIS))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS))
    axes.xaxis.set_major_formatter(_Ticks())
    return canvas


def _draw_dot(axes: Axes, y: float, row: Dot, colour: str) -> None:
    estimate = row.estimate
    axes.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.6)
    axes.plot([estimate.value], [y], color=colour, marker="o", markersize=5.5)


def _write_numbers(axes: Axes, places: list[tuple[float, Dot]], digits: int) -> None:
    """Write each row's value and interval in two columns to the right of the axes, flush right."""
    columns = [
        [number(row.estimate.value, digits) for _, row in places],
        [f"[{number(row.estimate.low, digits)}, {number(row.estimate.high, digits)}]" for _, row in places],
    ]
    right = 0.0
    for texts, colour in zip(columns, (INK, MUTED), strict=True):
        right += 8 + _POINTS_PER_DIGIT * max(len(text) for text in texts)
        for text, (y, _) in zip(texts, places, strict=True):
            axes.annotate(
                text,
                (1, y),
                xytext=(right, 0),
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset points",
                ha="right",
                va="center_baseline",
                color=colour,
                annotation_clip=False,
            )


def _confusion_canvas(chart: ConfusionMatrix) -> Canvas:
    size = len(chart.labels)
    labels = [brief(label, _LABEL) for label in chart.labels]
    beside = 0.55 + 0.085 * max(len(label) for label in labels)  # inches that the true labels take
    side = min(max(2.0, 0.72 * size), WIDTH - beside)
    is_turned = beside - 0.55 > side / size  # or the labels below would touch
    canvas = Canvas(figsize=(side + beside, side + (0.6 * beside + 0.4 if is_turned else 0.6)), layout="constrained")
    axes = canvas.subplots()
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    for i, row in enumerate(chart.counts):
        for j, count in enumerate(row):
            _draw_cell(axes, i, j, count, sum(row), 72 * side / size)
    axes.set_xticks(range(size), labels)
    axes.set_yticks(range(size), labels)
    if is_turned:
        for tick in axes.get_xticklabels():
            tick.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true label")
    return canvas


def _draw_cell(axes: Axes, i: int, j: int, count: int, total: int, points: float) -> None:
    """Draw row i, column j: shaded by the share of the row's total, written in type that fits a cell of that width."""
    for colour, alpha in ((RULE, 0.45), (SERIES[0], 0.42 * count / total if total else 0.0)):
        axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, facecolor=colour, alpha=alpha, linewidth=0))
    scale = min(1.0, points / 50)
    share = f"{100 * count / total:.0f} %" if total else ""
    for text, raised, size in ((number(count), 4 * scale, 11 * scale), (share, -9 * scale, 8 * scale)):
        axes.annotate(text, (j, i), (0, raised), textcoords="offset points", ha="center", va="center", fontsize=size)


def _colours(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]
