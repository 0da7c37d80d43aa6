"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.options import FULL, QUICK, Profile, parse


def test_without_options_everything_is_measured_in_full():
    options = parse([])

    assert options.profile == FULL
    assert len(options.workloads) == 10
    assert options.words == "python -m benchmarks"


def test_quick_can_be_changed_in_parts():
    options = parse(["--quick", "--seconds", "1", "--repeats", "5"])

    assert options.profile == Profile(5, 1, QUICK.warm_up_s, QUICK.overload_s)
    assert options.words == "python -m benchmarks --quick --repeats 5 --seconds 1"


def test_a_choice_keeps_the_order_of_the_page():
    options = parse(["--only", "D1,P0", "--servers", "reference, azml"])

    assert [workload.name for workload in options.workloads] == ["P0", "D1"]
    assert [server.name for server in options.servers] == ["azml", "reference"]


def test_places_of_this_machine_are_not_in_the_command_that_is_shown():
    options = parse(["--venv", "azml=somewhere", "--publish"])

    assert options.venvs == {"azml": Path("somewhere").absolute()}
    assert options.words == "python -m benchmarks --publish"


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "P9"],
        ["--servers", "nobody"],
        ["--repeats", "0"],
        ["--seconds", "x"],
        ["--venv", "azml"],
        ["--venv", "x=y"],
    ],
)
def test_mistakes_end_the_program(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(words)

    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err
