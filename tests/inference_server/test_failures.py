"""Where something failed, as a value: the user's frames, causes, hints, and how much of it all."""

from __future__ import annotations

import itertools
import json
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference_server import failures
from inference_server.failures import (
    LOG_LINES,
    MAX_FRAMES,
    MAX_MESSAGE,
    MAX_SOURCE,
    Failure,
    Frame,
    describe,
    display_path,
    is_user_file,
    model_tree,
    place_of,
    user_frames,
)
from inference_server.replies import message_reply

HERE = display_path(__file__)
MODEL_DIR_HINT = "AZUREML_MODEL_DIR is not set: pass --model_dir with the folder of the model"


def raised_by(function: Callable[..., Any], *arguments: Any) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001 - any of them is to be described
        return error
    raise AssertionError("nothing was raised")


def run_source(source: str, path: Path) -> BaseException:
    """What a file with this content raises when it is run."""
    path.write_text(source)
    return raised_by(lambda: exec(compile(source, str(path), "exec"), {}))


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text today")


def fail_plainly() -> None:
    raise ValueError("two\nlines")


def fail_below() -> None:
    json.loads("{")


def fail_endlessly(depth: int = 0) -> None:
    fail_endlessly(depth + 1)


def fail_with_cause() -> None:
    try:
        fail_plainly()
    except ValueError as error:
        raise RuntimeError("outer") from error


def fail_while_handling() -> None:
    try:
        fail_plainly()
    except ValueError:
        raise RuntimeError("outer")  # noqa: B904 - the implicit context is what is tested


def fail_on_purpose_alone() -> None:
    try:
        fail_plainly()
    except ValueError:
        raise RuntimeError("outer") from None


def line_of(function: Callable[..., Any], offset: int) -> int:
    return function.__code__.co_firstlineno + offset


def frame(function: Callable[..., Any], offset: int, source: str) -> Frame:
    return Frame(HERE, line_of(function, offset), function.__name__, source)


IN_PLAIN = frame(fail_plainly, 1, 'raise ValueError("two\\nlines")')


def test_a_failure_leads_to_the_line_that_raised():
    failure = describe(raised_by(fail_plainly))

    assert failure.frames[-1] == IN_PLAIN
    assert (failure.type, failure.message) == ("ValueError", "two\nlines")
    assert failure.raised_in is None


def test_the_body_says_where_and_what():
    failure = Failure("ValueError", "two\nlines", (IN_PLAIN,), path="$.x", hint="do this")

    assert failure.as_json() == {
        "type": "ValueError",
        "message": "two\nlines",
        "file": HERE,
        "line": IN_PLAIN.line,
        "function": "fail_plainly",
        "source": 'raise ValueError("two\\nlines")',
        "traceback": [str(IN_PLAIN)],
        "path": "$.x",
        "hint": "do this",
    }


def test_the_body_of_a_failure_without_a_place_says_so():
    assert Failure("KeyError", "'a'").as_json() == {
        "type": "KeyError",
        "message": "'a'",
        "file": None,
        "line": None,
        "function": None,
        "source": None,
        "traceback": [],
    }


def test_the_log_says_the_same_on_lines_of_its_own():
    failure = Failure("ValueError", "two\r\nlines", (IN_PLAIN,), path="$.x", hint="do this")

    assert failure.log_lines() == [
        "ValueError: two lines",
        "  at $.x",
        f"  {HERE}:{IN_PLAIN.line} in fail_plainly",
        '    raise ValueError("two\\nlines")',
        "  hint: do this",
    ]


def test_a_failure_without_a_message_is_called_by_its_type():
    assert describe(KeyboardInterrupt()).summary == "KeyboardInterrupt"


def test_an_error_raised_in_a_library_leads_to_the_users_call_of_it():
    failure = describe(raised_by(fail_below))

    assert failure.frames[-1] == frame(fail_below, 1, 'json.loads("{")')
    library, _, line = str(failure.raised_in).rpartition(":")
    assert library.startswith(sysconfig.get_paths()["stdlib"])
    assert int(line) > 0
    assert failure.as_json()["raised_in"] == failure.raised_in
    assert f"  raised in {failure.raised_in}" in failure.log_lines()


def test_frames_of_the_server_are_no_library():
    failure = describe(raised_by(message_reply, 200, object()))

    assert [f.function for f in failure.frames] == ["raised_by"]
    assert "inference_server" not in str(failure.raised_in)


def test_an_error_in_the_servers_own_code_names_no_library():
    assert describe(raised_by(failures.Failure)).raised_in is None
    assert describe(raised_by(failures.frame_of_code, None)).raised_in is None


def test_without_a_user_frame_the_fallback_is_the_place():
    failure = describe(ValueError("never raised"), fallback=fail_plainly.__code__)

    assert failure.frames == (frame(fail_plainly, 0, "def fail_plainly() -> None:"),)


def test_a_cause_keeps_its_place():
    failure = describe(raised_by(fail_with_cause))

    (cause,) = failure.causes
    assert (cause.type, cause.message, cause.frames[-1]) == ("ValueError", "two\nlines", IN_PLAIN)
    assert failure.as_json()["traceback"][-3:] == [
        "caused by ValueError: two lines",
        str(frame(fail_with_cause, 2, "fail_plainly()")),
        str(IN_PLAIN),
    ]


def test_an_exception_raised_while_another_was_handled_tells_of_both():
    assert [c.type for c in describe(raised_by(fail_while_handling)).causes] == ["ValueError"]


def test_a_cause_that_was_cut_off_stays_away():
    assert describe(raised_by(fail_on_purpose_alone)).causes == ()


def test_what_a_library_handled_inside_itself_stays_away():
    outer = RuntimeError("outer")
    outer.__context__ = KeyError("handled in a library")

    assert describe(outer).causes == ()


def test_a_cause_that_a_library_means_to_tell_is_told_without_a_place():
    outer = RuntimeError("outer")
    outer.__cause__ = KeyError("inner")

    assert describe(outer).causes == (Failure("KeyError", "'inner'"),)


def test_causes_in_a_circle_end():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert [cause.message for cause in describe(first).causes] == ["second"]


def test_no_more_than_three_causes_are_told():
    errors = [ValueError(str(number)) for number in range(6)]
    for outer, inner in itertools.pairwise(errors):
        outer.__cause__ = inner

    assert [cause.message for cause in describe(errors[0]).causes] == ["1", "2", "3"]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="not on this machine: exception groups came with Python 3.11"
)
def test_the_members_of_an_exception_group_are_told():
    first = raised_by(fail_plainly)
    assert isinstance(first, ValueError)
    group = ExceptionGroup("two of them", [first, KeyError("a")])  # noqa: F821

    failure = describe(group)

    assert failure.summary == "ExceptionGroup: two of them (2 sub-exceptions)"
    assert [cause.summary for cause in failure.causes] == [
        "ValueError: two lines",
        "KeyError: 'a'",
    ]
    assert failure.causes[0].frames[-1] == IN_PLAIN


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="not on this machine: exception groups came with Python 3.11"
)
def test_groups_within_groups_are_opened():
    inner = ExceptionGroup("inner", [ValueError("leaf")])  # noqa: F821

    failure = describe(ExceptionGroup("outer", [inner]))  # noqa: F821

    assert [cause.type for cause in failure.causes] == ["ExceptionGroup", "ValueError"]


def test_an_attribute_called_exceptions_makes_no_group():
    error = ValueError("x")
    error.exceptions = [KeyError("y")]  # type: ignore[attr-defined]

    assert describe(error).causes == ()


def test_an_exception_that_cannot_tell_its_text_is_still_described():
    failure = describe(MuteError())

    assert failure.message == "(its text cannot be shown: __str__ raised RuntimeError)"


def test_a_cause_that_cannot_tell_its_text_is_still_described():
    error = ValueError("x")
    error.__cause__ = MuteError()

    assert describe(error).causes[0].message.startswith("(its text cannot be shown")


def test_a_very_long_message_is_cut_in_body_and_log():
    failure = describe(ValueError("x" * (MAX_MESSAGE + 7)))

    assert failure.message == "x" * MAX_MESSAGE + "… (7 more characters)"
    assert failure.as_json()["message"] == failure.message
    assert failure.log_lines() == [f"ValueError: {failure.message}"]


def test_a_message_of_just_the_allowed_length_is_whole():
    assert describe(ValueError("x" * MAX_MESSAGE)).message == "x" * MAX_MESSAGE


def test_a_very_long_source_line_is_cut(tmp_path: Path):
    failure = describe(run_source(f"1 / 0; x = '{'y' * 5000}'", tmp_path / "minified.py"))

    assert len(failure.frames[-1].source) == MAX_SOURCE


def test_endless_recursion_keeps_the_innermost_frames_and_counts_the_others():
    failure = describe(raised_by(fail_endlessly))

    assert failure.type == "RecursionError"
    assert len(failure.frames) == MAX_FRAMES
    assert {f.function for f in failure.frames} == {"fail_endlessly"}
    assert failure.left_out > 500
    trace = failure.as_json()["traceback"]
    assert len(trace) == MAX_FRAMES + 1
    assert trace[0] == f"({failure.left_out} more frames)"
    lines = failure.log_lines()
    assert len(lines) == LOG_LINES
    assert lines[-1] == f"  ({failure.left_out + MAX_FRAMES - 4} more frames)"


def many_frames(count: int, function: str = "f") -> tuple[Frame, ...]:
    return tuple(Frame("s.py", n, function, f"line {n}") for n in range(1, count + 1))


def test_a_long_stack_leaves_room_for_the_cause_in_the_log():
    cause = Failure("KeyError", "'a'", many_frames(9, "g"))
    failure = Failure("ValueError", "x", many_frames(9), causes=(cause,), hint="do this")

    assert failure.log_lines() == [
        "ValueError: x",
        "  s.py:9 in f",
        "    line 9",
        "  s.py:8 in f",
        "    line 8",
        "  caused by KeyError: 'a'",
        "  s.py:9 in g",
        "    line 9",
        "  hint: do this",
        "  (7 more frames)",
    ]


def test_the_root_cause_comes_before_those_between():
    causes = tuple(Failure(name, "", many_frames(2, name)) for name in ("First", "Mid", "Root"))
    failure = Failure("ValueError", "x", many_frames(2), causes=causes, path="$.x", hint="do this")

    assert failure.log_lines() == [
        "ValueError: x",
        "  at $.x",
        "  s.py:2 in f",
        "    line 2",
        "  caused by First",
        "  caused by Mid",
        "  caused by Root",
        "  s.py:2 in Root",
        "    line 2",
        "  hint: do this",
    ]


@pytest.mark.parametrize("frames", [0, 1, 4, 5, 30])
@pytest.mark.parametrize("causes", [0, 1, 3])
@pytest.mark.parametrize("extras", [{}, {"path": "$.x", "hint": "h", "raised_in": "lib.py:1"}])
def test_no_failure_takes_more_than_ten_lines(frames: int, causes: int, extras: dict[str, str]):
    cause = Failure("KeyError", "a\nb", many_frames(frames))
    failure = Failure(
        "ValueError", "x\ny", many_frames(frames), causes=(cause,) * causes, left_out=9, **extras
    )

    lines = failure.log_lines()

    assert len(lines) <= LOG_LINES
    assert [line for line in lines if "\n" in line] == []
    assert sum("caused by" in line for line in lines) == causes


def test_a_syntax_error_leads_to_its_own_file(tmp_path: Path):
    helper = tmp_path / "helper.py"

    failure = describe(run_source("x = 1\ndef broken(:\n", helper))

    assert failure.frames[-1] == Frame(str(helper), 2, "<module>", "def broken(:")
    assert (failure.type, failure.message) == ("SyntaxError", "invalid syntax")


def test_a_syntax_error_of_text_that_is_no_file_leads_to_who_asked():
    failure = describe(raised_by(compile, "(", "<input>", "eval"))

    assert [f.function for f in failure.frames] == ["raised_by"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="nothing"),
        pytest.param((None,), id="no message"),
        pytest.param(("m", (1, 2, 3, 4)), id="numbers"),
        pytest.param(("m", ("score.py", None, None, None)), id="no line"),
        pytest.param(("m", ("score.py", "x", None, b"y")), id="line that is a word"),
    ],
)
def test_a_syntax_error_with_strange_attributes_is_described(arguments: tuple[Any, ...]):
    failure = describe(SyntaxError(*arguments))

    assert failure.type == "SyntaxError"
    assert json.loads(json.dumps(failure.as_json()))["type"] == "SyntaxError"


def test_a_missing_package_brings_a_hint():
    failure = describe(raised_by(__import__, "no_such_package.inner"))

    assert failure.hint == (
        "add `no_such_package` to the environment (pip install no_such_package), or put "
        "no_such_package.py beside the scoring script"
    )


def test_a_package_of_another_name_is_named_in_the_hint():
    failure = describe(ModuleNotFoundError("No module named 'sklearn'", name="sklearn"))

    assert "pip install scikit-learn)" in str(failure.hint)


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_missing_module_without_a_name_brings_no_hint(name: Any):
    assert describe(ModuleNotFoundError("x", name=name)).hint is None


def test_a_missing_file_brings_a_hint_about_the_model_folder(monkeypatch: pytest.MonkeyPatch):
    assert describe(FileNotFoundError(2, "x")).hint == MODEL_DIR_HINT

    monkeypatch.setenv("AZUREML_MODEL_DIR", "models")

    assert describe(FileNotFoundError(2, "x")).hint == (
        f"AZUREML_MODEL_DIR is models; relative paths start at {Path.cwd()}"
    )


def test_a_hint_that_was_given_wins():
    assert describe(FileNotFoundError(2, "x"), hint="mine").hint == "mine"


def join_without_model_dir() -> None:
    os.path.join(os.getenv("AZUREML_MODEL_DIR"), "m")  # type: ignore[arg-type] # noqa: PTH118


def join_something_else() -> None:
    os.path.join(None, "m")  # type: ignore[call-overload] # noqa: PTH118


def test_joining_a_model_folder_that_is_not_set_brings_a_hint(monkeypatch: pytest.MonkeyPatch):
    error = raised_by(join_without_model_dir)

    assert describe(error).hint == MODEL_DIR_HINT
    assert describe(raised_by(join_something_else)).hint is None

    monkeypatch.setenv("AZUREML_MODEL_DIR", "models")

    assert describe(error).hint is None


def test_a_current_directory_that_is_gone_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("AZUREML_MODEL_DIR", "models")

    failure = describe(raised_by(fail_plainly))

    assert failure.frames[-1].file == __file__
    assert display_path("score.py") == "score.py"
    assert describe(FileNotFoundError(2, "x")).hint == (
        "AZUREML_MODEL_DIR is models; relative paths start at a directory that is gone"
    )


def test_a_path_is_relative_where_that_is_shorter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    assert display_path(str(tmp_path / "code" / "score.py")) == "code/score.py"
    assert display_path(str(tmp_path.parent / "score.py")) == str(tmp_path.parent / "score.py")


@pytest.mark.parametrize(
    ("path", "is_user"),
    [
        pytest.param(__file__, True, id="a test"),
        pytest.param("score.py", True, id="a relative path"),
        pytest.param(json.__file__, False, id="Python's own"),
        pytest.param(pytest.__file__, False, id="an installed package"),
        pytest.param(failures.__file__, False, id="the server"),
        pytest.param("/x/lib/site-packages/a/b.py", False, id="a package of another environment"),
        pytest.param("<string>", False, id="no file"),
    ],
)
def test_user_code_is_what_the_user_can_edit(path: str, is_user: bool):
    assert is_user_file(path) is is_user


def test_a_function_is_placed_where_it_is_defined():
    assert place_of(fail_plainly) == f"{HERE}:{fail_plainly.__code__.co_firstlineno}"
    assert place_of(print) == "an unknown place"


def test_user_frames_of_a_stack_leave_out_libraries():
    current = sys._getframe()

    assert [f.function for f in user_frames([current])] == [current.f_code.co_name]
    assert user_frames([]) == ()


def test_source_of_a_file_that_is_gone_is_empty(tmp_path: Path):
    path = tmp_path / "score.py"
    error = run_source("1 / 0", path)
    path.unlink()
    linecache.clearcache()

    assert describe(error).frames[-1] == Frame(str(path), 1, "<module>", "")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    (root / "b" / "1").mkdir(parents=True)
    (root / "b" / "1" / "model.pkl").touch()
    (root / "a.txt").touch()
    (root / "link").symlink_to(root, target_is_directory=True)
    return root


def test_the_model_folder_is_shown_as_a_tree(models: Path):
    assert model_tree(str(models)) == [
        "models/",
        "    a.txt",
        "    b/",
        "        1/",
        "            model.pkl",
        "    link",
    ]


def test_a_relative_model_folder_is_shown_by_its_name(
    models: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(models)

    assert model_tree(".")[0] == "models/"


def test_a_long_tree_is_cut(models: Path):
    assert model_tree(str(models), limit=2) == [
        "models/",
        "    a.txt",
        "Output Truncated. First 2 lines shown.",
    ]


def test_a_tree_of_just_the_allowed_length_is_whole(models: Path):
    assert model_tree(str(models), limit=6)[-1] == "    link"


def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path):
    assert model_tree(str(tmp_path / "missing")) == [
        "missing/",
        "    (No such file or directory)",
    ]
