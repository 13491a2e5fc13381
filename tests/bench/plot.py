"""Draws the overload curve of a bench-overload report as SVG: good answers against load.

  plot.py build/bench/overload.json docs/overload.svg

Presentation attributes only, so that it shows wherever an image may.
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

from table import at_load

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 60, 60
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
INK, GRID = "#333333", "#dddddd"
# label, colour, width, mark: those that fall on each other are a thin dark line on a thick
# light one, drawn from the last to the first
LINES = {
    "latest": ("streamd, latest", "#0b5a41", 2, "circle"),
    "strict": ("streamd, strict", "#7fb8e6", 5, "square"),
    "phase17": ("streamd, phase17", "#6b3a82", 2, "diamond"),
    "usual": ("usual server", "#f0959f", 5, "triangle"),
}


class Axes:
    def __init__(self, x_max, y_max):
        self.x_max, self.y_max = x_max, y_max

    def x(self, value):
        return round(LEFT + value / self.x_max * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value):
        return round(HEIGHT - BOTTOM - value / self.y_max * (HEIGHT - TOP - BOTTOM), 1)


def text(x, y, words, anchor="start", size=13, extra=""):
    return (
        f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-size='{size}' fill='{INK}' {FONT}"
        f"{extra}>{escape(words)}</text>"
    )


def line(x1, y1, x2, y2, stroke=INK, width=1):
    return (
        f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{stroke}' stroke-width='{width}'/>"
    )


def mark(shape, x, y, colour):
    corners = {
        "square": [(-7, -7), (7, -7), (7, 7), (-7, 7)],
        "diamond": [(0, -5), (5, 0), (0, 5), (-5, 0)],
        "triangle": [(0, -10), (10, 8), (-10, 8)],
    }.get(shape)
    if not corners:
        return f"<circle cx='{x}' cy='{y}' r='4' fill='{colour}'/>"
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f"<polygon points='{points}' fill='{colour}'/>"


def draw_axes(axes, y_step):
    parts = []
    for k in range(int(axes.y_max // y_step) + 1):
        y = axes.y(k * y_step)
        parts.append(line(axes.x(0), y, axes.x(axes.x_max), y, GRID if k else INK))
        parts.append(text(LEFT - 8, y + 4, f"{k * y_step:g}", "end"))
    for k in range(int(axes.x_max) + 1):
        x = axes.x(k)
        parts.append(line(x, axes.y(0), x, axes.y(0) + 5))
        parts.append(text(x, axes.y(0) + 20, f"{k:g}", "middle"))
    parts.append(line(axes.x(0), axes.y(0), axes.x(0), axes.y(axes.y_max)))
    return parts


def draw_possible(axes, capacity):
    """What any server could give at most: all that is offered, up to the capacity."""
    corners = [(0, 0), (1, capacity), (axes.x_max, capacity)]
    path = " ".join(f"{axes.x(a)},{axes.y(b)}" for a, b in corners)
    return [
        f"<polyline points='{path}' fill='none' stroke='#999999' stroke-width='1.5'/>",
        text(axes.x(axes.x_max), axes.y(capacity) - 8, f"capacity {capacity:g}/s", "end", 12),
    ]


def draw_contender(axes, name, points):
    _, colour, width, shape = LINES[name]
    spots = [(axes.x(load), axes.y(good)) for load, good in points]
    path = " ".join(f"{x},{y}" for x, y in spots)
    return [
        f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}'"
        " stroke-linejoin='round'/>",
        *(mark(shape, x, y, colour) for x, y in spots),
    ]


def draw_legend(names):
    parts = []
    for k, name in enumerate(names):
        label, colour, width, shape = LINES[name]
        x, y = WIDTH - RIGHT + 14, TOP + 20 + 28 * k
        parts.append(line(x, y - 4, x + 30, y - 4, colour, width))
        parts.append(mark(shape, x + 15, y - 4, colour))
        parts.append(text(x + 38, y, label, size=12))
    return parts


def curves(report):
    """name: [(load, good answers per second)]; a point without a valid run is left out."""
    found = {}
    for name, loads in report["curve"]["points"].items():
        points = [(float(load), at_load(rounds)) for load, rounds in loads.items()]
        found[name] = [
            (load, p["in_budget_per_s"]) for load, p in points if p["in_budget_per_s"] is not None
        ]
    return found


def svg(report):
    curve, lines = report["curve"], curves(report)
    capacity = curve["capacity_per_s"]
    axes = Axes(max(load for points in lines.values() for load, _ in points), capacity * 1.25)
    title = f"Answers within {report['budget_ms']} ms under overload"
    detail = (
        f"{curve['workers']} workers, {curve['work_ms']} ms work, {curve['sessions']} cameras;"
        f" medians of {curve['rounds']} runs"
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    drawn = [part for name in reversed(lines) for part in draw_contender(axes, name, lines[name])]
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}'"
            f" viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>",
            f"<title>{escape(title)}</title>",
            f"<rect x='0' y='0' width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
            text(LEFT, 26, title, size=17, extra=" font-weight='bold'"),
            text(LEFT, 45, detail, size=12),
            *draw_axes(axes, capacity / 4),
            *draw_possible(axes, capacity),
            *drawn,
            *draw_legend(lines),
            text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "offered load, in capacities", "middle"),
            text(18, middle, f"answers within {report['budget_ms']} ms, per second", "middle",
                 extra=f" transform='rotate(-90 18 {middle:g})'"),
            "</svg>",
            "",
        ]
    )  # fmt: skip


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    report = json.loads(pathlib.Path(sys.argv[1]).read_text())
    out = pathlib.Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(svg(report))


if __name__ == "__main__":
    main()
