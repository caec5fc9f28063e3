"""Grouped bars as SVG, written by hand so that no plotting package is needed.

A figure is a stack of panels. A panel has groups of bars side by side; within a group each series
(a server) has one bar of its own colour, with a whisker over the middle half of its values. The
figure has a white ground of its own, so it looks the same on a dark page.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .figures import Spread

COLOURS = ("#4e79a7", "#59a14f", "#b07aa1", "#f28e2b", "#e15759", "#edc948", "#76b7b2", "#9c755f")
WIDTH = 1000
LEFT, RIGHT = 60, 20
HEADER_HEIGHT, LEGEND_HEIGHT = 56, 24
LEGEND_GAP, LEGEND_CHARACTER = 36, 7
PANEL_TITLE, PANEL_HEIGHT, PANEL_FOOT = 30, 190, 34
GRID_LINES = 5
ROUND_PARTS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.5)


@dataclass(frozen=True)
class Group:
    """Bars that belong together: one scenario. `bars` maps a series to its value."""

    label: str
    bars: Mapping[str, Spread]


@dataclass(frozen=True)
class Panel:
    """One chart; `baseline` is drawn as a dashed line."""

    title: str
    groups: Sequence[Group]
    baseline: float | None = None


def grouped_bars(title: str, caption: str, series: Sequence[str], panels: Sequence[Panel]) -> str:
    """The whole figure as the text of an SVG file."""
    panel_step = PANEL_TITLE + PANEL_HEIGHT + PANEL_FOOT
    height = HEADER_HEIGHT + LEGEND_HEIGHT + panel_step * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 24, title, size=17),
        text(LEFT, 43, caption, fill="#666"),
        *legend(series),
    ]
    for index, panel in enumerate(panels):
        top = HEADER_HEIGHT + LEGEND_HEIGHT + panel_step * index + PANEL_TITLE
        parts += draw_panel(panel, series, top)
    return "\n".join([*parts, "</svg>"]) + "\n"


def legend(series: Sequence[str]) -> list[str]:
    """One line of names, moved closer together if they would not fit."""
    widths = [LEGEND_GAP + LEGEND_CHARACTER * len(name) for name in series]
    squeeze = min(1.0, (WIDTH - LEFT - RIGHT) / max(sum(widths), 1))
    parts = []
    x = float(LEFT)
    for index, (name, width) in enumerate(zip(series, widths, strict=True)):
        parts.append(rectangle(x, HEADER_HEIGHT + 4, 11, 11, colour(index)))
        parts.append(text(x + 16, HEADER_HEIGHT + 14, name))
        x += width * squeeze
    return parts


def draw_panel(panel: Panel, series: Sequence[str], top: float) -> list[str]:
    highest = max((bar.high for group in panel.groups for bar in group.bars.values()), default=1.0)
    highest = round_up(max(highest, panel.baseline or 0.0))
    bottom = top + PANEL_HEIGHT

    def y_of(value: float) -> float:
        return bottom - value / highest * PANEL_HEIGHT

    parts = [text(LEFT, top - 10, panel.title, size=13)]
    for line in range(GRID_LINES + 1):
        value = highest * line / GRID_LINES
        parts.append(rule(LEFT, y_of(value), WIDTH - RIGHT, y_of(value), "#ddd"))
        parts.append(text(LEFT - 6, y_of(value) + 4, f"{value:g}", anchor="end", fill="#666"))
    group_width = (WIDTH - LEFT - RIGHT) / max(len(panel.groups), 1)
    for index, group in enumerate(panel.groups):
        left = LEFT + index * group_width
        parts.append(text(left + group_width / 2, bottom + 17, group.label, anchor="middle"))
        bar_width = min(group_width * 0.84 / max(len(series), 1), 34)
        first = left + (group_width - bar_width * len(series)) / 2
        for position, name in enumerate(series):
            if name in group.bars:
                x = first + position * bar_width
                parts += draw_bar(group.bars[name], x, bar_width, y_of, colour(position))
    if panel.baseline is not None:
        y = y_of(panel.baseline)
        parts.append(rule(LEFT, y, WIDTH - RIGHT, y, "#333", dashes="5 4"))
    return parts


def draw_bar(
    bar: Spread, x: float, width: float, y_of: Callable[[float], float], fill: str
) -> list[str]:
    top, bottom = y_of(bar.middle), y_of(0)
    centre = x + width / 2
    return [
        rectangle(x + 1, top, width - 2, bottom - top, fill),
        rule(centre, y_of(bar.low), centre, y_of(bar.high), "#222"),
        text(centre, y_of(bar.high) - 4, label_of(bar.middle), anchor="middle", size=9),
    ]


def label_of(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def round_up(value: float) -> float:
    """The smallest round number that leaves some room above `value`."""
    wanted = max(value, 1e-9) * 1.05
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * part for part in ROUND_PARTS if power * part >= wanted)


def colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}"/>'


def rule(x1: float, y1: float, x2: float, y2: float, stroke: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{stroke}"{dashed}/>'


def text(
    x: float, y: float, content: str, anchor: str = "start", fill: str = "#222", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-size="{size}">{escape(content)}</text>'
    )
