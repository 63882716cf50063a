"""A graph without circles as inline SVG: layers from top to bottom, few crossings, smooth arrows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from html import escape
from itertools import pairwise

from components.page.facts import Graph
from components.page.wording import brief, printable

_LETTER = 7.8  # width of a letter of the monospaced type at 13 units, 0.6 em
_LONGEST = 32  # letters shown of a name
_PADDING = 12.0
_HEIGHT = 30.0
_LAYER = 58.0  # distance from layer to layer
_GAP = 26.0
_PASSING = 14.0  # room for an arrow that passes a layer
_ORDERINGS, _PLACINGS = 24, 400  # sweeps: far more than the few nodes of a build need to settle
_CHAIN = 100  # pulls of a neighbour that is joined by a chain, against one of any other


@dataclass(frozen=True)
class _Layout:
    """Where everything stands: middles of nodes and of the places where long arrows pass a layer."""

    x: dict[str, float]
    layer: dict[str, int]
    paths: list[list[str]]
    width: float
    height: float


def svg(graph: Graph) -> str:
    """Return the graph as an SVG element for use in HTML; colours come from the page's style.

    An arrow that other arrows imply is left out: a -> c beside a -> b -> c.

    Raises ValueError for an edge to an unknown node, a node named twice, and a circle.
    """
    edges = reduced(graph)
    layout = _layout(graph.nodes, edges)
    label = f"{graph.title}: " + "; ".join(f"{source} to {target}" for source, target in edges)
    parts = [
        f'<svg class="graph" role="img" aria-label="{escape(printable(label))}" '
        f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" style="--width: {layout.width / 16:.1f}rem">'
    ]
    parts += [_arrow(layout, path) for path in layout.paths]
    parts += [_node(layout, name) for name in graph.nodes]
    return "\n".join([*parts, "</svg>"])


def reduced(graph: Graph) -> list[tuple[str, str]]:
    """Return the edges in the order given, without those that others imply and without repetitions.

    Raises ValueError as `svg` does.
    """
    below: dict[str, set[str]] = {name: set() for name in graph.nodes}
    if len(below) != len(graph.nodes):
        raise ValueError(f"{graph.title}: a node is named twice")
    for edge in graph.edges:
        if unknown := [name for name in edge if name not in below]:
            raise ValueError(f"{graph.title}: an edge names {unknown[0]!r}, which is no node")
        below[edge[0]].add(edge[1])
    reachable: dict[str, set[str]] = {}
    for name in _order(graph.title, below):
        reachable[name] = set().union(below[name], *(reachable[target] for target in below[name]))
    return [
        (source, target)
        for source, target in dict.fromkeys(graph.edges)
        if not any(target in reachable[other] for other in below[source])
    ]


def _order(title: str, below: dict[str, set[str]]) -> list[str]:
    """Return the nodes, each after all that it points to."""
    try:
        return list(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise ValueError(f"{title}: the graph runs in a circle: {' -> '.join(reversed(error.args[1]))}") from None


def _layout(nodes: tuple[str, ...], edges: list[tuple[str, str]]) -> _Layout:
    """Sugiyama, Tagawa and Toda 1981: layers by longest path, long arrows cut at each layer, order by barycentre."""
    layer = _layers(nodes, edges)
    paths = [_path(source, target, layer) for source, target in edges]
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in layer:
        rows[layer[name]].append(name)
    above: defaultdict[str, list[str]] = defaultdict(list)
    below: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        for first, second in pairwise(path):
            below[first].append(second)
            above[second].append(first)
    rows = _ordered(rows, above, below)
    width = {name: len(_shown(name)) * _LETTER + 2 * _PADDING if name in nodes else _PASSING for name in layer}
    x = _placed(rows, above, below, width)
    left = min((x[name] - width[name] / 2 for name in x), default=0.0) - 2
    right = max((x[name] + width[name] / 2 for name in x), default=0.0) + 2
    height = max(len(rows) - 1, 0) * _LAYER + _HEIGHT + 4
    return _Layout({name: x[name] - left for name in x}, layer, paths, right - left, height)


def _layers(nodes: tuple[str, ...], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Return how many arrows the longest way to each node has."""
    above: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        above[target].append(source)
    layer = dict.fromkeys(nodes, 0)
    for name in TopologicalSorter(above).static_order():
        layer[name] = max((layer[source] + 1 for source in above[name]), default=0)
    return layer


def _path(source: str, target: str, layer: dict[str, int]) -> list[str]:
    """Return the arrow's stations, and enter those between its ends into `layer`."""
    passing = {f"{source}\n{target}\n{number}": number for number in range(layer[source] + 1, layer[target])}
    layer.update(passing)
    return [source, *passing, target]


def _ordered(rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]]) -> list[list[str]]:
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_ORDERINGS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        rows = [list(row) for row in rows]
        indices = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for index in indices:
            position = {name: place for place, name in enumerate(rows[index - 1 if down else index + 1])}
            here = {name: place for place, name in enumerate(rows[index])}
            rows[index].sort(
                key=lambda name, position=position, here=here: _mean(  # type: ignore[misc]
                    [position[other] for other in neighbours[name]], here[name]
                )
            )
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[str]], below: dict[str, list[str]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        position = {name: place for place, name in enumerate(lower)}
        ends = [(place, position[other]) for place, name in enumerate(upper) for other in below[name]]
        count += sum((a - c) * (b - d) < 0 for a, b in ends for c, d in ends) // 2
    return count


def _placed(
    rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]], width: dict[str, float]
) -> dict[str, float]:
    """Return the middle of each place: as near as can be to the mean of its neighbours, order and gaps kept.

    A neighbour joined by an arrow that is the only one at both its ends counts for more, so chains run straight.
    """
    x = {name: 0.0 for row in rows for name in row}
    for sweep in range(_PLACINGS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wished = []
            for name in row:
                pulls = [x[other] for other in (*above[name], *below[name])]
                for other in above[name]:
                    pulls += [x[other]] * (_CHAIN * (len(above[name]) == len(below[other]) == 1))
                for other in below[name]:
                    pulls += [x[other]] * (_CHAIN * (len(below[name]) == len(above[other]) == 1))
                wished.append(_mean(pulls, x[name]))
            x.update(zip(row, _apart(wished, [width[name] for name in row]), strict=True))
    return x


def _apart(wished: list[float], widths: list[float]) -> list[float]:
    """Return the positions nearest to those wished (least squares) that keep order and gaps: pooled neighbours."""
    offsets = [0.0]
    for first, second in pairwise(widths):
        offsets.append(offsets[-1] + (first + second) / 2 + _GAP)
    pools: list[list[float]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        pools.append([wish - offset])
        while len(pools) > 1 and _mean(pools[-2], 0) > _mean(pools[-1], 0):
            last = pools.pop()
            pools[-1] += last
    level = [_mean(pool, 0) for pool in pools for _ in pool]
    return [base + offset for base, offset in zip(level, offsets, strict=True)]


def _shown(name: str) -> str:
    return brief(name, _LONGEST)


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _arrow(layout: _Layout, path: list[str]) -> str:
    """Return a smooth line through the stations, upright at both ends, and its head.

    Source of the slopes, which make no bulges: Fritsch and Butland 1984, harmonic means.
    """
    points = [(layout.x[name], 2 + layout.layer[name] * _LAYER + _HEIGHT / 2) for name in path]
    tip = (points[-1][0], points[-1][1] - _HEIGHT / 2)
    points = [(points[0][0], points[0][1] + _HEIGHT / 2), *points[1:-1], (tip[0], tip[1] - 6)]
    steps = [(x1 - x0) / (y1 - y0) for (x0, y0), (x1, y1) in pairwise(points)]  # sideways per unit downwards
    slopes = [0.0, *(2 * a * b / (a + b) if a * b > 0 else 0.0 for a, b in pairwise(steps)), 0.0]
    line = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for ((x0, y0), slope0), ((x1, y1), slope1) in pairwise(zip(points, slopes, strict=True)):
        reach = (y1 - y0) / 2
        line += (
            f"C{x0 + slope0 * reach:.1f} {y0 + reach:.1f} {x1 - slope1 * reach:.1f} {y1 - reach:.1f} {x1:.1f} {y1:.1f}"
        )
    head = f"M{tip[0]:.1f} {tip[1]:.1f}l-3.5 -7h7z"
    return f'<path class="edge" d="{line}"/><path class="head" d="{head}"/>'


def _node(layout: _Layout, name: str) -> str:
    x, y = layout.x[name], 2 + layout.layer[name] * _LAYER
    width = len(_shown(name)) * _LETTER + 2 * _PADDING
    return (
        f'<rect class="node" x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_HEIGHT:.1f}" rx="5"/>'
        f'<text x="{x:.1f}" y="{y + _HEIGHT / 2 + 4.5:.1f}" text-anchor="middle">{escape(_shown(name))}</text>'
    )
