"""One table of settings: what is accepted, what is refused and how, and which source wins."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.errors import SettingProblem, SettingsError
from inference_server.setting_parsers import (
    boolean,
    choice,
    exactly_true,
    integer,
    log_level,
    origins,
    seconds,
    size,
    text,
)
from inference_server.settings import (
    BY_VARIABLE,
    TABLE,
    Setting,
    Settings,
    option_rows,
    read_settings,
)
from tests.inference_server.support import few

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def from_environment(**variables: str) -> Settings:
    return read_settings(variables, {}, "default")


def from_file(values: dict[str, Any]) -> Settings:
    return read_settings({}, values, "in config.json")


def reported(environ: dict[str, str], values: dict[str, Any]) -> set[str]:
    """The variables whose values cannot be used."""
    try:
        read_settings(environ, values, "in config.json")
    except SettingsError as error:
        return {problem.variable for problem in error.problems}
    return set()


def problems_of(environ: dict[str, str], values: dict[str, Any]) -> list[SettingProblem]:
    with pytest.raises(SettingsError) as caught:
        read_settings(environ, values, "in config.json")
    return caught.value.problems


@pytest.mark.parametrize(
    ("parse", "raw", "value"),
    [
        pytest.param(text, "a b", "a b", id="text"),
        pytest.param(integer(1, 9), "7", 7, id="integer as text"),
        pytest.param(integer(1, 9), " 7 ", 7, id="integer with blanks around it"),
        pytest.param(integer(1, 9), 7, 7, id="integer"),
        pytest.param(integer(1, 9), 7.0, 7, id="integral float"),
        pytest.param(integer(1), 10**9, 10**9, id="integer without upper bound"),
        pytest.param(seconds(0), "1.5", 1.5, id="seconds as text"),
        pytest.param(seconds(0), 0, 0.0, id="seconds at their minimum"),
        pytest.param(size, "1048576", 1 << 20, id="bytes"),
        pytest.param(size, 1048576, 1 << 20, id="bytes as a number"),
        pytest.param(size, "100MiB", 100 << 20, id="MiB"),
        pytest.param(size, " 2 gb ", 2 << 30, id="gb"),
        pytest.param(size, "3k", 3 << 10, id="k"),
        pytest.param(size, "5B", 5, id="B"),
        pytest.param(boolean, "True", True, id="true"),
        pytest.param(boolean, "off", False, id="off"),
        pytest.param(boolean, 1, True, id="one"),
        pytest.param(boolean, False, False, id="false"),
        pytest.param(exactly_true, "TRUE", True, id="the word true"),
        pytest.param(exactly_true, "yes", False, id="another word"),
        pytest.param(exactly_true, True, True, id="true in a file"),
        pytest.param(choice("a", "b"), " A", "a", id="choice"),
        pytest.param(log_level, "debug", "DEBUG", id="level"),
        pytest.param(log_level, "warn", "WARNING", id="the old name of a level"),
        pytest.param(log_level, "FATAL", "CRITICAL", id="the other name of a level"),
        pytest.param(origins, "http://a, .*b", "http://a, .*b", id="origins"),
    ],
)
def test_a_good_value_is_parsed(parse: Any, raw: Any, value: Any):
    parsed = parse(raw)

    assert (parsed, type(parsed)) == (value, type(value))


NO_INTEGER = (
    "Input should be a valid integer, unable to parse string as an integer (expected 1 to 9)"
)
NO_SECONDS = "Input should be a number of seconds, 0.5 or more"
NO_SIZE = "Input should be a size in bytes, 1 or more, such as 104857600 or 100MiB"
NO_BOOLEAN = "Input should be a valid boolean, unable to interpret input"


@pytest.mark.parametrize(
    ("parse", "raw", "message"),
    [
        pytest.param(text, 5, "Input should be a valid string", id="number for a text"),
        pytest.param(integer(1, 9), "abc", NO_INTEGER, id="word for an integer"),
        pytest.param(integer(1, 9), "1.5", NO_INTEGER, id="fraction for an integer"),
        pytest.param(integer(1, 9), "9" * 5000, NO_INTEGER, id="thousands of digits"),
        pytest.param(
            integer(1, 9),
            "10",
            "Input should be a whole number from 1 to 9, not 10",
            id="integer too high",
        ),
        pytest.param(
            integer(1),
            "0",
            "Input should be a whole number from 1 or more, not 0",
            id="integer too low",
        ),
        pytest.param(
            integer(1, 9),
            True,
            "Input should be a valid integer (expected 1 to 9)",
            id="boolean for an integer",
        ),
        pytest.param(
            integer(1, 9),
            math.nan,
            "Input should be a valid integer (expected 1 to 9)",
            id="nan for an integer",
        ),
        pytest.param(
            integer(1, 9),
            [1],
            "Input should be a valid integer (expected 1 to 9)",
            id="list for an integer",
        ),
        pytest.param(seconds(0.5), "0.4", NO_SECONDS, id="seconds too low"),
        pytest.param(seconds(0.5), "soon", NO_SECONDS, id="word for seconds"),
        pytest.param(seconds(0.5), "nan", NO_SECONDS, id="nan for seconds"),
        pytest.param(seconds(0.5), "inf", NO_SECONDS, id="endless seconds"),
        pytest.param(seconds(0.5), 10**400, NO_SECONDS, id="more seconds than a float holds"),
        pytest.param(seconds(0.5), True, NO_SECONDS, id="boolean for seconds"),
        pytest.param(seconds(0.5), {}, NO_SECONDS, id="object for seconds"),
        pytest.param(size, "0", NO_SIZE, id="no bytes"),
        pytest.param(size, "1.5MiB", NO_SIZE, id="fraction of a unit"),
        pytest.param(size, "10 parsecs", NO_SIZE, id="unknown unit"),
        pytest.param(size, True, NO_SIZE, id="boolean for a size"),
        pytest.param(boolean, "maybe", NO_BOOLEAN, id="word for a boolean"),
        pytest.param(boolean, 1.0, NO_BOOLEAN, id="float for a boolean"),
        pytest.param(choice("a", "b"), "c", "Input should be one of: a, b", id="no choice"),
        pytest.param(
            log_level,
            "LOUD",
            "Input should be one of: DEBUG, INFO, WARNING, ERROR, CRITICAL",
            id="no level",
        ),
        pytest.param(
            origins,
            "http://a, *.b.com",
            "`*.b.com` is read as a regular expression, but is none: nothing to repeat at position "
            "0 (`.*` stands for any characters)",
            id="wildcard that is no regular expression",
        ),
    ],
)
def test_a_bad_value_is_refused_with_what_was_expected(parse: Any, raw: Any, message: str):
    with pytest.raises(ValueError, match=r".") as caught:
        parse(raw)

    assert str(caught.value) == message


def test_without_any_source_the_defaults_are_in_force():
    assert read_settings({}, {}, "default") == Settings()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default():
    settings = read_settings(
        {"SERVICE_NAME": "variable"},
        {"SERVICE_NAME": "file", "SERVICE_VERSION": "file"},
        "in config.json",
    )

    assert (settings.service_name, settings.service_version, settings.service_path_prefix) == (
        "variable",
        "file",
        "",
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.variable)
def test_a_variable_set_to_nothing_counts_as_unset(row: Setting):
    assert from_environment(**{row.variable: ""}) == Settings()


def test_an_empty_variable_does_not_hide_the_file():
    settings = read_settings(
        {"AZUREML_MODEL_DIR": "", "WORKER_COUNT": ""},
        {"AZUREML_MODEL_DIR": "models", "WORKER_COUNT": 3},
        "in config.json",
    )

    assert (settings.model_dir, settings.worker_count) == ("models", 3)


def test_null_in_the_file_counts_as_unset():
    assert from_file({"SCORING_TIMEOUT_MS": None, "AZUREML_MODEL_DIR": None}) == Settings()


def test_unknown_keys_are_left_alone():
    assert read_settings({"PATH": "x"}, {"unknown": [1]}, "in config.json") == Settings()


@pytest.mark.parametrize(
    "environ",
    [
        {"AML_MODEL_DC_STORAGE_ENABLED": "true", "AML_MDC_STORAGE_ENABLED": "false"},
        {"AML_MDC_STORAGE_ENABLED": "false", "AML_MODEL_DC_STORAGE_ENABLED": "true"},
    ],
    ids=["documented name first", "documented name last"],
)
def test_the_documented_name_of_a_variable_wins_over_its_second_name(environ: dict[str, str]):
    assert from_environment(**environ).collect_model_data is True


def test_the_second_name_of_a_variable_is_read():
    assert from_environment(AML_MDC_STORAGE_ENABLED="true").collect_model_data is True


def test_every_bad_value_is_reported_with_its_place():
    found = problems_of(
        {"WORKER_COUNT": "none", "AML_MDC_STORAGE_ENABLED": "?"},
        {"SERVICE_NAME": 5, "WORKER_COUNT": 1},
    )

    assert found == [
        SettingProblem(
            "WORKER_COUNT",
            "Input should be a valid integer, unable to parse string as an integer "
            "(expected 1 or more)",
            "environment variable: WORKER_COUNT",
        ),
        SettingProblem("SERVICE_NAME", "Input should be a valid string", "in config.json"),
        SettingProblem(
            "AML_MODEL_DC_STORAGE_ENABLED",
            NO_BOOLEAN,
            "environment variable: AML_MDC_STORAGE_ENABLED",
        ),
    ]


def test_the_error_names_each_problem():
    error = SettingsError([SettingProblem("A", "too low", "in f"), SettingProblem("B", "no", "x")])

    assert str(error) == "A: too low (in f); B: no (x)"


def test_compatibility_changes_defaults():
    settings = from_environment(AZML_COMPAT="true")

    assert (settings.compat, settings.error_details, settings.nan) == (True, "none", "literal")


def test_what_was_said_wins_over_compatibility():
    settings = from_environment(AZML_COMPAT="1", AZML_ERROR_DETAILS="full", AZML_NAN="null")

    assert (settings.compat, settings.error_details, settings.nan) == (True, "full", "null")


def test_the_transport_protocol_is_written_only():
    assert from_environment(TRANSPORT_PROTOCOL="grpc") == Settings()


@pytest.mark.parametrize(
    ("environ", "deadline"),
    [
        pytest.param({}, 3600.0, id="by default an hour"),
        pytest.param({"SCORING_TIMEOUT_MS": "500"}, 0.5, id="as set"),
        pytest.param({"SCORING_TIMEOUT_MS": "0"}, None, id="none"),
        pytest.param({"WORKER_TIMEOUT": "20"}, 20.0, id="the worker's when it was set"),
        pytest.param(
            {"WORKER_TIMEOUT": "20", "SCORING_TIMEOUT_MS": "500"}, 0.5, id="the shorter one"
        ),
        pytest.param(
            {"WORKER_TIMEOUT": "0", "SCORING_TIMEOUT_MS": "0"}, None, id="both switched off"
        ),
        pytest.param({"WORKER_TIMEOUT": ""}, 3600.0, id="the worker's is set to nothing"),
    ],
)
def test_the_deadline_is_the_shortest_limit_that_was_set(
    environ: dict[str, str], deadline: float | None
):
    assert from_environment(**environ).deadline_s == deadline


@pytest.mark.parametrize(
    ("script", "path"),
    [
        pytest.param("score.py", Path("/app/score.py"), id="relative"),
        pytest.param("/code/score.py", Path("/code/score.py"), id="absolute"),
        pytest.param("", None, id="none"),
    ],
)
def test_the_script_is_looked_for_in_the_app_root(script: str, path: Path | None):
    settings = from_environment(AML_APP_ROOT="/app", AZUREML_ENTRY_SCRIPT=script)

    assert settings.script_path == path


def test_a_separate_health_port_takes_exactly_the_word_true():
    found = [from_environment(SEPERATE_HEALTH_ENDPOINT=word) for word in ("true", "True", "1")]

    assert [settings.separate_health for settings in found] == [True, False, False]
    assert from_file({"SEPERATE_HEALTH_ENDPOINT": True}).separate_health is True


def test_no_variable_and_no_name_stands_twice_in_the_table():
    assert len({row.variable for row in TABLE}) == len({row.name for row in TABLE}) == len(TABLE)
    assert {row.name for row in TABLE} == asdict(Settings()).keys() - {"worker_timeout_was_set"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.variable)
def test_a_default_is_a_value_that_may_be_set(row: Setting):
    if row.default is not None:
        assert row.parse(row.default) == row.default


def test_every_option_says_what_it_is_for():
    rows = option_rows()

    assert [row.name for row in rows if not row.help.endswith((".", ")"))] == []
    assert [row.name for row in rows if not row.flag and not row.metavar] == []


@few
@given(st.dictionaries(st.sampled_from(sorted(BY_VARIABLE)), st.text(max_size=20)))
def test_any_environment_gives_settings_or_a_report_of_each_problem(environ: dict[str, str]):
    assert reported(environ, {}) <= environ.keys()


@few
@given(st.dictionaries(st.sampled_from(sorted(BY_VARIABLE)), JSON_VALUES))
def test_any_config_file_gives_settings_or_a_report_of_each_problem(values: dict[str, Any]):
    assert reported({}, values) <= values.keys()
