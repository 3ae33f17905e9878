"""Bar charts as SVG, readable in light and dark: medians, their least and most, labelled, on an axis from nothing.

Written by hand, for a chart of bars is twenty lines of text and a library of charts is megabytes of something else.
"""

import statistics
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from benchmarks.measuring import ROOT
from benchmarks.results import Measured

CHARTS = ROOT / "docs" / "charts"

_WIDTH = 860
_LABEL_WIDTH = 190
_VALUE_WIDTH = 180
_BAR_HEIGHT = 24
_ROW_HEIGHT = 34
_PANEL_HEIGHT = 44
_TOP = 66

_STYLE = """
.paper { fill: #ffffff } text { fill: #1f2328; font: 14px system-ui, sans-serif } .quiet { fill: #59636e }
.small { font-size: 12px } .title { font-size: 18px; font-weight: 600 } .panel { font-size: 15px; font-weight: 600 }
.ours { fill: #d6336c } .other { fill: #8c959f }
.spread { stroke: #1f2328; stroke-width: 1.5 } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } text { fill: #f0f6fc } .quiet { fill: #9198a1 }
  .ours { fill: #f06595 } .other { fill: #6e7681 } .spread { stroke: #f0f6fc } .axis { stroke: #3d444d }
}
"""


class Bar(NamedTuple):
    """`values` are of all rounds."""

    label: str
    values: Sequence[float]
    is_ours: bool = False


class Panel(NamedTuple):
    title: str
    bars: Sequence[Bar]
    digits: int = 0


def draw(name: str, title: str, subtitle: str, panels: Sequence[Panel]) -> None:
    CHARTS.mkdir(exist_ok=True)
    (CHARTS / f"{name}.svg").write_text(svg(title, subtitle, panels), "utf-8")


def svg(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """Draw panels of bars below one another, each on a scale of its own."""
    lines, y = [], _TOP
    for panel in panels:
        lines.append(f'<text class="panel" x="16" y="{y + 24}">{escape(panel.title)}</text>')
        y += _PANEL_HEIGHT - 8
        lines.append(_axis(y, len(panel.bars)))
        most = max(max(bar.values) for bar in panel.bars)
        for bar in panel.bars:
            lines += _drawn(bar, y, most, panel.digits)
            y += _ROW_HEIGHT
        y += 10
    height = y + 10
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
                f'height="{height}" role="img" aria-label="{escape(title)}">'
            ),
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="8"/>',
            f'<text class="title" x="16" y="32">{escape(title)}</text>',
            f'<text class="quiet" x="16" y="54">{escape(subtitle)}</text>',
            *lines,
            "</svg>\n",
        ]
    )


def _axis(y: int, bars: int) -> str:
    bottom = y + bars * _ROW_HEIGHT - (_ROW_HEIGHT - _BAR_HEIGHT) + 2
    return f'<line class="axis" x1="{_LABEL_WIDTH}" y1="{y - 2}" x2="{_LABEL_WIDTH}" y2="{bottom}"/>'


def _drawn(bar: Bar, y: int, most: float, digits: int) -> list[str]:
    scale = (_WIDTH - _LABEL_WIDTH - _VALUE_WIDTH) / most
    median = statistics.median(bar.values)
    start, end = (_LABEL_WIDTH + value * scale for value in (min(bar.values), max(bar.values)))
    middle = y + _BAR_HEIGHT / 2
    return [
        f'<text text-anchor="end" x="{_LABEL_WIDTH - 10}" y="{y + 17}">{escape(bar.label)}</text>',
        (
            f'<rect class="{"ours" if bar.is_ours else "other"}" x="{_LABEL_WIDTH}" y="{y}" '
            f'width="{max(median * scale, 1):.1f}" height="{_BAR_HEIGHT}" rx="2"/>'
        ),
        f'<line class="spread" x1="{start:.1f}" y1="{middle}" x2="{end:.1f}" y2="{middle}"/>',
        *(
            f'<line class="spread" x1="{x:.1f}" y1="{middle - 5}" x2="{x:.1f}" y2="{middle + 5}"/>'
            for x in (start, end)
        ),
        (
            f'<text x="{end + 10:.1f}" y="{y + 17}">{median:,.{digits}f}'
            f'<tspan class="quiet small" dx="4">&#160;{_spread(bar.values, digits)}</tspan></text>'
        ),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{min(values):,.{digits}f} … {max(values):,.{digits}f}"


def draw_serving(measured: Measured) -> None:
    """Draw the requests a second of all who were asked the same, where there is anybody to compare with."""

    def bar(label: str, name: str, *, is_ours: bool = False) -> list[Bar]:
        runs = [each[name] for each in measured.rounds if name in each]
        return [Bar(label, [run.requests_per_second for run in runs], is_ours)] if runs else []

    panels = []
    for mix, title, others in (
        ("GET one", "GET one rating, requests a second", [("empty application", "empty")]),
        ("PUT", "PUT one rating, on disk when answered, a second", [("empty, body read", "empty, body read")]),
        ("GET 100 ids", "GET 100 ratings, requests a second", []),
    ):
        bars = [
            *(found for label, name in others for found in bar(label, name)),
            *bar("Likewise", mix, is_ours=True),
            *bar("our work on Starlette", f"Starlette, {mix}"),
            *bar("Prism, a mock", f"Prism, {mix}"),
            *bar("FastAPI", f"FastAPI, {mix}"),
        ]
        if len(bars) > 1:
            panels.append(Panel(title, bars))
    if panels:
        draw(
            "serving",
            "Likewise next to others",
            "the server on one core, 64 connections; more is better; median, least … most of the rounds",
            panels,
        )


def draw_growth(measured: Measured) -> None:
    """Draw the requests a second by what there is in the database."""
    panels = [
        Panel(
            f"{title}, a second, by ratings and listeners",
            [
                Bar(
                    name.removeprefix(prefix),
                    [each[name].requests_per_second for each in measured.rounds],
                    is_ours=True,
                )
                for name in measured.rounds[0]
                if name.startswith(prefix)
            ],
        )
        for prefix, title in (("GET one, ", "GET one rating"), ("PUT, ", "PUT one rating, on disk when answered"))
    ]
    subtitle = "one core, SQLite, 64 connections; more is better; median, least … most of the rounds"
    draw("growth", "Likewise as it grows", subtitle, panels)
