"""Loading a scoring script: what it must define, what it may import, and what is said of faults."""

from __future__ import annotations

import asyncio
import functools
import logging
import pickle
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference_server.errors import ScriptError, UserCodeError
from inference_server.scoring_script import MODULE_NAME, ScoringScript, load_script, run_init
from inference_server.settings import Settings

GOOD = "def init():\n    pass\n\ndef run(data):\n    return data\n"
KINDS = "run() cannot accept positional-only arguments, *args, or **kwargs."
HINT = "name each argument; a decorator without functools.wraps hides run's own names"


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a script imported and added to the path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def settings_of(root: Path, script: str | None = "score.py", **more: Any) -> Settings:
    return Settings(app_root=str(root), entry_script=script, **more)


def load(root: Path, source: str, name: str = "score.py", **more: Any) -> ScoringScript:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return load_script(settings_of(root, name, **more))


def script_error(root: Path, source: str) -> tuple[str, str | None, str | None]:
    with pytest.raises(ScriptError) as caught:
        load(root, source)
    error = caught.value
    return str(error), error.location, error.hint


def test_a_script_is_loaded_with_what_it_defines(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        script = load(tmp_path, GOOD)

    path = str(tmp_path / "score.py")
    assert (script.path, script.run("x"), script.init()) == (path, "x", None)
    assert [p.name for p in script.parameters] == ["data"]
    assert (script.takes_headers, script.is_raw, script.is_async) == (False, False, False)
    assert script.run_code is script.run.__code__
    assert caplog.messages == [f"Found user script at {path}"]


def test_the_script_has_the_name_that_pickles_refer_to(tmp_path: Path):
    script = load(
        tmp_path,
        "from __future__ import annotations\nimport dataclasses, pickle\n"
        "@dataclasses.dataclass\nclass A:\n    x: int\n"
        "def init(): pass\ndef run(data): return pickle.dumps(A(data))\n",
    )

    value = pickle.loads(script.run(5))

    assert (type(value).__module__, value.x) == (MODULE_NAME, 5)
    assert sys.modules["score"] is sys.modules[MODULE_NAME]


def test_a_script_whose_name_is_taken_takes_no_module_away(tmp_path: Path):
    load(tmp_path, GOOD, "json.py")

    assert not hasattr(sys.modules["json"], "run")


def test_a_script_whose_name_is_no_identifier_is_loaded(tmp_path: Path):
    assert load(tmp_path, GOOD, "score-v1.py").run(1) == 1
    assert "score-v1" not in sys.modules


def test_modules_beside_the_script_win_over_installed_ones(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "utils.py").write_text("NAME = 'mine'\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "shared_helper.py").write_text("NAME = 'shared'\n")
    (tmp_path / "root_helper.py").write_text("NAME = 'root'\n")
    source = (
        "import utils, shared_helper, root_helper\ndef init(): pass\n"
        "def run(data): return [utils.NAME, shared_helper.NAME, root_helper.NAME]\n"
    )

    script = load(tmp_path, source, "code/score.py", source_directory="shared")

    assert script.run(1) == ["mine", "shared", "root"]
    assert sys.path[0] == str(tmp_path / "code")
    assert sys.path[-2:] == [str(tmp_path), str(tmp_path / "shared")]


def test_an_edit_is_seen_however_fast_it_came(tmp_path: Path):
    load(tmp_path, GOOD)

    assert load(tmp_path, GOOD.replace("return data", "return 'new'")).run("old") == "new"


@pytest.mark.parametrize(
    ("signature", "names", "takes_headers"),
    [
        pytest.param("data", ["data"], False, id="one"),
        pytest.param("x, n=1", ["x", "n"], False, id="default"),
        pytest.param("*, data", ["data"], False, id="keyword only"),
        pytest.param("request_headers, data", ["data"], True, id="headers first"),
        pytest.param("data, request_headers=None", ["data"], True, id="headers last"),
    ],
)
def test_the_parameters_of_run_are_found(
    tmp_path: Path, signature: str, names: list[str], takes_headers: bool
):
    script = load(tmp_path, f"def init(): pass\ndef run({signature}): pass\n")

    assert ([p.name for p in script.parameters], script.takes_headers) == (names, takes_headers)


@pytest.mark.parametrize(
    ("source", "message", "line", "hint"),
    [
        pytest.param(
            "def run(data): pass",
            "{path} does not define init()",
            1,
            "define `def init():` in the script",
            id="no init",
        ),
        pytest.param(
            "def init(): pass",
            "{path} does not define run()",
            1,
            "define `def run(data):` in the script",
            id="no run",
        ),
        pytest.param(
            "init = 5\ndef run(data): pass", "init in {path} is not a function", 1, None,
            id="init is no function",
        ),
        pytest.param(
            "def init(): pass\nrun = 5",
            "run is not a function: 5 is not a callable object",
            1,
            None,
            id="run is no function",
        ),
        pytest.param(
            "def init(): pass\n\ndef run(data, /): pass", KINDS, 3, HINT, id="positional only"
        ),
        pytest.param("def init(): pass\n\ndef run(*data): pass", KINDS, 3, HINT, id="args"),
        pytest.param("def init(): pass\n\ndef run(**data): pass", KINDS, 3, HINT, id="kwargs"),
        pytest.param(
            "def init(): pass\n\ndef run(): pass",
            "run() needs to accept an argument for input data.",
            3,
            None,
            id="no parameter",
        ),
        pytest.param(
            "def init(): pass\n\ndef run(request_headers): pass",
            'run() needs to accept an argument other than "request_headers".',
            3,
            None,
            id="headers only",
        ),
        pytest.param(
            "def init(): pass\nclass Run:\n\n    def __call__(self): pass\nrun = Run()",
            "run() needs to accept an argument for input data.",
            4,
            None,
            id="callable object",
        ),
    ],
)  # fmt: skip
def test_what_a_script_lacks_is_said_with_its_place(
    tmp_path: Path, source: str, message: str, line: int, hint: str | None
):
    path = str(tmp_path / "score.py")

    assert script_error(tmp_path, source) == (message.format(path=path), f"{path}:{line}", hint)


@pytest.mark.parametrize(
    ("source", "error_type"),
    [
        pytest.param("1 / 0", ZeroDivisionError, id="error"),
        pytest.param("def broken(:", SyntaxError, id="syntax"),
        pytest.param("  x = 1", IndentationError, id="indentation"),
        pytest.param("import no_such_package", ModuleNotFoundError, id="missing package"),
        pytest.param("import sys; sys.exit(0)", SystemExit, id="exit"),
        pytest.param("raise KeyboardInterrupt", KeyboardInterrupt, id="interrupt"),
        pytest.param("raise GeneratorExit", GeneratorExit, id="any other way to leave"),
        pytest.param("x = '\0'", (SyntaxError, ValueError), id="null byte"),
    ],
)
def test_what_importing_a_script_raises_is_the_cause(tmp_path: Path, source: str, error_type: Any):
    with pytest.raises(UserCodeError) as caught:
        load(tmp_path, source)

    assert str(caught.value) == (
        f"The scoring script could not be imported: {tmp_path / 'score.py'}"
    )
    assert isinstance(caught.value.__cause__, error_type)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        pytest.param(
            "missing.py",
            "The scoring script cannot be read: {path}: No such file or directory.",
            "--entry_script takes a Python file, relative to the current directory",
            id="missing",
        ),
        pytest.param(
            "folder.py",
            "The scoring script cannot be read: {path}: is a folder, not a file.",
            "--entry_script takes a Python file, relative to the current directory",
            id="folder",
        ),
        pytest.param(
            "score.txt",
            "The scoring script must be a Python file, but its name does not end in .py: {path}",
            None,
            id="no Python",
        ),
    ],
)
def test_a_file_that_is_no_script_is_refused(
    tmp_path: Path, name: str, message: str, hint: str | None
):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "score.txt").touch()

    with pytest.raises(ScriptError) as caught:
        load_script(settings_of(tmp_path, name))

    assert (str(caught.value), caught.value.hint) == (
        message.format(path=tmp_path / name),
        hint,
    )


def test_a_driver_modules_run_is_the_one_that_is_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "inner.py").write_text("def init(): return 'inner'\ndef run(data): return data\n")
    source = "import inner as driver_module\ndef init(): return 'outer'\ndef run(): pass\n"

    with caplog.at_level(logging.INFO):
        script = load(tmp_path, source)

    assert (script.path, script.init(), script.run(1)) == (str(tmp_path / "inner.py"), "outer", 1)
    assert caplog.messages == [
        f"Found driver script at {tmp_path / 'score.py'} and the score script at "
        f"{tmp_path / 'inner.py'}"
    ]


def test_without_a_script_main_is_imported(tmp_path: Path):
    (tmp_path / "main.py").write_text(GOOD)

    script = load_script(settings_of(tmp_path, None))

    assert (script.path, script.run(1)) == (str(tmp_path / "main.py"), 1)


def test_a_main_that_raises_is_reported(tmp_path: Path):
    (tmp_path / "main.py").write_text("1 / 0")

    with pytest.raises(UserCodeError, match=r"^The scoring script could not be imported: main.py$"):
        load_script(settings_of(tmp_path, None))


@pytest.mark.parametrize(
    ("files", "listing"),
    [
        pytest.param(["b.py", "a.txt"], "  a.txt\n  b.py", id="files"),
        pytest.param([], "  (empty)", id="empty"),
    ],
)
def test_without_script_and_main_the_app_root_is_listed(
    tmp_path: Path, files: list[str], listing: str
):
    for name in files:
        (tmp_path / name).touch()

    with pytest.raises(ScriptError) as caught:
        load_script(settings_of(tmp_path, None))

    message = str(caught.value)
    assert message.startswith("No score script found. Expected score script main.py.\nsys.path: [")
    assert message.endswith(f"\n{tmp_path} holds:\n{listing}")
    assert caught.value.hint == "name the script with --entry_script"


def script_with(run: Any, init: Any = print) -> ScoringScript:
    return ScoringScript("score.py", init, run, (), False, False)


async def coroutine_function(data: Any) -> Any:
    return data


async def asynchronous_generator(data: Any) -> AsyncIterator[Any]:
    yield data


class Caller:
    async def __call__(self, data: Any) -> Any:
        return data


class PlainCaller:
    def __call__(self, data: Any) -> Any:
        return data


@functools.wraps(coroutine_function)
def wrapped(data: Any) -> Any:
    return coroutine_function(data)


@pytest.mark.parametrize(
    ("run", "is_async"),
    [
        pytest.param(coroutine_function, True, id="coroutine function"),
        pytest.param(asynchronous_generator, True, id="asynchronous generator"),
        pytest.param(Caller(), True, id="callable object"),
        pytest.param(wrapped, True, id="wrapped"),
        pytest.param(functools.partial(coroutine_function), True, id="partial"),
        pytest.param(PlainCaller(), False, id="plain object"),
        pytest.param(print, False, id="plain function"),
    ],
)
def test_asynchronous_functions_are_recognised(run: Any, is_async: bool):
    assert script_with(run).is_async is is_async


def test_the_code_behind_run_is_found():
    assert script_with(wrapped).run_code is coroutine_function.__code__
    assert script_with(PlainCaller()).run_code is PlainCaller.__call__.__code__
    assert script_with(print).run_code is None


def test_init_is_called_once_between_two_lines_of_log(caplog: pytest.LogCaptureFixture):
    calls: list[str] = []

    with caplog.at_level(logging.INFO):
        run_init(script_with(print, lambda: calls.append("init")), None)

    assert calls == ["init"]
    assert caplog.messages == [
        "Invoking user's init function",
        "Users's init has completed successfully",
    ]


@pytest.mark.parametrize("own_loop", [True, False])
def test_an_asynchronous_init_is_awaited(own_loop: bool):
    loops: list[Any] = []

    async def init() -> None:
        loops.append(asyncio.get_running_loop())

    loop = asyncio.new_event_loop() if own_loop else None
    try:
        run_init(script_with(print, init), loop)
    finally:
        if loop is not None:
            loop.close()

    assert len(loops) == 1
    assert (loops[0] is loop) is own_loop


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(0), KeyboardInterrupt(), GeneratorExit()]
)
def test_whatever_init_raises_is_the_cause(error: BaseException, caplog: pytest.LogCaptureFixture):
    def init() -> None:
        raise error

    with pytest.raises(UserCodeError, match=r"^User's init function failed$") as caught:
        run_init(script_with(print, init), None)

    assert caught.value.__cause__ is error
    assert "Users's init has completed successfully" not in caplog.messages
