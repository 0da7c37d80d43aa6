"""Charts as PNG files; the only module that needs matplotlib, and imports it late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.charts import Chart, Panel
from benchmarks.errors import ResultsError
from benchmarks.servers import Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    Role.OURS: "#0b6e4f",
    Role.REFERENCE: "#b5651d",
    Role.PEER: "#7a8ca3",
    Role.FLOOR: "#d0d4da",
}
_PANEL_WIDTH = 5.6
_BAR_HEIGHT = 0.3
_PER_ROW = 2
_DPI = 80


def draw_all(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Draw every chart into a folder.

    Raises:
        ResultsError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [draw(chart, folder / f"{chart.name}.png") for chart in charts]


def draw(chart: Chart, path: Path) -> Path:
    """Draw one chart: horizontal bars, a line over each for its range.

    Raises:
        ResultsError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ResultsError(
            'charts need matplotlib: `pip install -e ".[dev]"`, or leave --publish away'
        ) from error
    columns = min(_PER_ROW, len(chart.panels))
    rows = -(-len(chart.panels) // columns)
    height = 0.9 + _BAR_HEIGHT * max(len(panel.bars) for panel in chart.panels)
    figure = Figure(figsize=(_PANEL_WIDTH * columns, height * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, place in enumerate(axes.flat):
        if number < len(chart.panels):
            _draw_panel(chart.panels[number], place)
        else:
            place.set_axis_off()
    # Without a date or a version in it, the same results make the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


def _draw_panel(panel: Panel, axes: Axes) -> None:
    titles = [bar.title for bar in panel.bars]
    medians = [bar.median for bar in panel.bars]
    below = [bar.median - bar.low for bar in panel.bars]
    above = [bar.high - bar.median for bar in panel.bars]
    drawn = axes.barh(
        titles,
        medians,
        xerr=[below, above],
        color=[_COLOURS[bar.role] for bar in panel.bars],
        ecolor="#444444",
    )
    axes.bar_label(drawn, [bar.label for bar in panel.bars], padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
