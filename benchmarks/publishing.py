"""Where results go: the page, its charts, the JSON they are made of, and the README."""

from __future__ import annotations

from pathlib import Path

from benchmarks.charts import charts
from benchmarks.drawing import draw_all
from benchmarks.environments import FOLDER, ROOT
from benchmarks.errors import ResultsError
from benchmarks.readme import placed, section
from benchmarks.report import CHARTS, page
from benchmarks.results import Results, from_json

LATEST = FOLDER / ".results" / "latest.json"
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
PUBLISHED = DOCS / "benchmarks.json"


def keep(results: Results) -> Path:
    """Write the results where git does not look."""
    LATEST.parent.mkdir(exist_ok=True)
    (LATEST.parent / ".gitignore").write_text("*\n")
    LATEST.write_text(results.as_json(), encoding="utf-8")
    return LATEST


def read(path: Path) -> Results:
    """Results from a file.

    Raises:
        ResultsError: It cannot be read, or holds something else.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}") from error


def publish(results: Results) -> list[Path]:
    """Write page, charts, JSON and the README's part; the paths written, in that order.

    Raises:
        ResultsError: A chart cannot be drawn, or the README has no marks.
    """
    readme = placed(README.read_text(encoding="utf-8"), section(results))
    drawn = draw_all(charts(results), DOCS / CHARTS)
    for path in set((DOCS / CHARTS).glob("*.png")) - set(drawn):
        path.unlink()
    PAGE.write_text(page(results), encoding="utf-8")
    PUBLISHED.write_text(results.as_json(), encoding="utf-8")
    README.write_text(readme, encoding="utf-8")
    return [PAGE, *drawn, PUBLISHED, README]
