"""Tells people of the settings: the help of the command, and the tables of the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from inference_server.settings import TABLE, Setting, option_rows


def describe_option(row: Setting) -> str:
    """Help text of an option, with default and variable."""
    default = f" Default: {row.default}." if _has_default(row) else ""
    variable = f" [{row.variable}]" if row.reads_environment else ""
    return f"{row.help}{default}{variable}"


def options_table() -> str:
    """The options as a Markdown table."""
    rows = (
        (
            _option(row).replace("|", r"\|"),
            f"`{row.variable}`" if row.reads_environment else "",
            f"{row.default}" if _has_default(row) else "",
            row.help,
        )
        for row in option_rows()
    )
    return _table(("Option", "Variable", "Default", "Meaning"), rows)


def _option(row: Setting) -> str:
    negation = f", `--no_{row.name}`" if row.negatable else ""
    return f"`--{row.name}{f' {row.metavar}' if row.metavar else ''}`{negation}"


def variables_table() -> str:
    """The settings that are not options as a Markdown table."""
    rows = (
        (f"`{row.variable}`", f"{row.default}" if _has_default(row) else "", row.help)
        for row in TABLE
        if not row.on_command_line
    )
    return _table(("Variable", "Default", "Meaning"), rows)


def _has_default(row: Setting) -> bool:
    return row.default not in (None, False, "")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
