"""The command line, the request file, and what a script's text tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_server.tuning.errors import TuneError
from inference_server.tuning.options import check_request, parse
from inference_server.tuning.script_facts import marks_batches

REQUIRED = ["--request-file", "sample.json", "--entry-script=score.py"]


def test_the_defaults():
    options = parse(REQUIRED)

    assert options.request_file == Path("sample.json")
    assert options.entry_script == Path("score.py")
    assert (options.budget_s, options.target_p99_ms) == (60.0, None)
    assert options.plot == Path("azml-tune.png")
    assert (options.pinned, options.passed_on) == ({}, ())


def test_settings_that_are_set_are_pinned_and_others_passed_on():
    options = parse([*REQUIRED, "--worker-count", "2", "--model-dir", "model", "--compat"])

    assert options.pinned == {"workers": 2}
    assert options.passed_on == ("--model_dir", "model", "--compat")


def test_the_script_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AZUREML_ENTRY_SCRIPT", "other.py")

    assert parse(["--request_file", "x"]).entry_script == Path("other.py")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(["--budget", "0"], id="no time"),
        pytest.param(["--budget", "soon"], id="no number"),
        pytest.param(["--worker_count", "0"], id="no workers"),
        pytest.param(["--format", "xml"], id="unknown format"),
    ],
)
def test_a_wrong_option_ends_with_2(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        parse([*REQUIRED, *wrong])

    assert end.value.code == 2
    assert f"argument {wrong[0]}" in capsys.readouterr().err


def test_a_body_that_is_not_json_is_told_with_its_place(tmp_path):
    path = tmp_path / "sample.json"
    path.write_text('{"a": 1,\n "b" 2}')

    with pytest.raises(TuneError, match=r"sample\.json:2:6: not JSON: Expecting ':'") as caught:
        check_request(path, "application/json")
    assert caught.value.exit_code == 2
    check_request(path, "text/plain")


def test_a_body_that_is_not_text_is_told(tmp_path):
    path = tmp_path / "sample.json"
    path.write_bytes(b'{"a": "\xff"}')

    with pytest.raises(TuneError, match="byte 7 is not UTF-8"):
        check_request(path, "application/json")


def test_a_missing_body_is_told(tmp_path):
    with pytest.raises(TuneError, match="nothing: No such file"):
        check_request(tmp_path / "nothing", "application/json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("@batch\ndef run(x): ...", True, id="bare"),
        pytest.param("@scripting.batch(max_size=4)\nasync def run(x): ...", True, id="called"),
        pytest.param("@other\ndef run(x): ...", False, id="another decorator"),
        pytest.param("@batch\ndef init(): ...", False, id="another function"),
        pytest.param("def run(", False, id="not Python"),
    ],
)
def test_a_script_says_whether_it_batches(tmp_path, text, expected):
    path = tmp_path / "score.py"
    path.write_text(text)

    assert marks_batches(path) is expected
