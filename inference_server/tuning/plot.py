"""The figures as a picture: requests per second and p99 over the number of clients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference_server.tuning.errors import TuneError
from inference_server.tuning.trials import ServerSetup, Trial

HOW_TO_GET_IT = "no plot: matplotlib is not installed (pip install 'azml[tune]')"


def draw(trials: Sequence[Trial], chosen: Trial | None, path: Path) -> None:
    """Write a PNG.

    Raises:
        TuneError: matplotlib is missing, or the file cannot be written.
    """
    try:
        # They take longer to import than a server takes to start.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise TuneError(HOW_TO_GET_IT) from None
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    speed, latency = figure.subplots(1, 2)
    for setup in sorted({trial.setup for trial in trials}):
        line = sorted((t for t in trials if t.setup == setup), key=lambda trial: trial.clients)
        clients = [trial.clients for trial in line]
        speed.plot(clients, [t.load.per_second for t in line], marker="o", label=_label(setup))
        latency.plot(clients, [t.load.p99_ms for t in line], marker="o")
    if chosen is not None:
        style = {"s": 160, "facecolors": "none", "edgecolors": "black", "zorder": 3}
        speed.scatter([chosen.clients], [chosen.load.per_second], label="recommended", **style)
        latency.scatter([chosen.clients], [chosen.load.p99_ms], **style)
    for axes, title in ((speed, "requests per second"), (latency, "p99 in ms")):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("clients")
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    speed.legend(fontsize="small")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise TuneError(f"no plot: {path}: {error.strerror}") from None


def _label(setup: ServerSetup) -> str:
    batch = f", batch {setup.batch}" if setup.batch else ""
    return f"workers {setup.workers}, concurrent {setup.places}{batch}"
