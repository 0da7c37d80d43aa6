"""Loads the user's scoring script and finds `init()` and `run()` in it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from inference_server.api.aml_request import is_rawhttp
from inference_server.errors import ScriptError, UserCodeError
from inference_server.scripting import BatchLimits
from inference_server.settings import Settings

log = logging.getLogger("azmlinfsrv.user_script")

MODULE_NAME = "entry_module"
"""`__name__` of the script, as the reference has it; pickles refer to it."""

REQUEST_HEADERS = "request_headers"
"""A parameter of this name receives the request's headers."""


@dataclass(frozen=True)
class ScoringScript:
    """A loaded script whose `run` can be called.

    Attributes:
        path: The file that holds `run`.
        init: Called once before the first request.
        run: Called for each request.
        parameters: Parameters of `run` without `request_headers`, in order.
        takes_headers: `run` has a parameter `request_headers`.
        is_raw: `run` wants the HTTP request itself.
        batch: How many requests one call of `run` serves; None when it takes one at a time.
    """

    path: str
    init: Callable[[], Any]
    run: Callable[..., Any]
    parameters: tuple[inspect.Parameter, ...]
    takes_headers: bool
    is_raw: bool
    batch: BatchLimits | None = None

    def described_again(self) -> ScoringScript:
        """The same script, after its functions got other parameters.

        Raises:
            ScriptError: `run` cannot be called as it is declared now.
        """
        parameters, takes_headers = _check_signature(self.run, self.path)
        return replace(self, parameters=parameters, takes_headers=takes_headers)

    @property
    def is_async(self) -> bool:
        """`run` is a coroutine function or an asynchronous generator."""
        run = inspect.unwrap(self.run)
        call = getattr(run, "__call__", None)  # noqa: B004 - a class instance can be `run`
        return any(
            inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            for function in (run, call)
        )

    @property
    def run_code(self) -> CodeType | None:
        """Code of the innermost function behind `run`, to point at."""
        return _code_of(self.run)

    @property
    def location(self) -> str:
        """File and first line of `run`, for errors at start."""
        code = self.run_code
        return f"{self.path}:{code.co_firstlineno if code else 1}"


def _code_of(run: Any) -> CodeType | None:
    run = inspect.unwrap(run)
    if not hasattr(run, "__code__"):
        run = getattr(type(run), "__call__", run)  # noqa: B004 - its code is wanted
    return getattr(run, "__code__", None)


def user_folders(settings: Settings) -> list[Path]:
    """The folders that scripts import their own modules from: the script's own comes first."""
    folders = [settings.script_path.resolve().parent] if settings.script_path else []
    folders.append(Path(settings.app_root))
    if settings.source_directory:
        folders.append(Path(settings.app_root, settings.source_directory))
    return folders


def prepare_import_path(settings: Settings) -> None:
    """Make the script's folder, the app root and the source directory importable.

    The script's folder comes first, as for `python score.py`, so that a helper beside the script
    wins over an installed package of the same name.
    """
    for folder in user_folders(settings):
        if str(folder) not in sys.path:
            first = settings.script_path is not None and folder == user_folders(settings)[0]
            sys.path.insert(0 if first else len(sys.path), str(folder))


def load_script(settings: Settings) -> ScoringScript:
    """Import the scoring script and check what it defines.

    Raises:
        ScriptError: The file or a function is missing, or `run` cannot be called as it is declared.
        UserCodeError: Importing the script raised.
    """
    prepare_import_path(settings)
    path = settings.script_path
    module = _import_file(path) if path else _import_main(settings)
    outer = str(getattr(module, "__file__", path))
    for name in ("init", "run"):
        if not hasattr(module, name):
            raise ScriptError(
                f"{outer} does not define {name}()",
                location=f"{outer}:1",
                hint=f"define `def {'init()' if name == 'init' else 'run(data)'}:` in the script",
            )
    if not callable(module.init):
        raise ScriptError(f"init in {outer} is not a function", location=f"{outer}:1")
    run, inner = module.run, outer
    driver = getattr(module, "driver_module", None)
    if isinstance(driver, ModuleType) and hasattr(driver, "run"):
        run, inner = driver.run, str(driver.__file__)
        log.info("Found driver script at %s and the score script at %s", outer, inner)
    else:
        log.info("Found user script at %s", outer)
    parameters, takes_headers = _check_signature(run, inner)
    return ScoringScript(inner, module.init, run, parameters, takes_headers, is_rawhttp(run))


def run_init(script: ScoringScript, loop: asyncio.AbstractEventLoop | None) -> None:
    """Call the script's `init()`, awaiting it when it is a coroutine function.

    Raises:
        UserCodeError: `init()` raised; `SystemExit` and `KeyboardInterrupt` count.
    """
    log.info("Invoking user's init function")
    try:
        result = script.init()
        if inspect.iscoroutine(result):
            loop.run_until_complete(result) if loop else asyncio.run(result)
    except BaseException as error:
        raise UserCodeError("User's init function failed") from error
    log.info("Users's init has completed successfully")


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "No such file or directory"
        raise ScriptError(
            f"The scoring script cannot be read: {path}: {what}.",
            hint="--entry_script takes a Python file, relative to the current directory",
        )
    if path.suffix != ".py":
        raise ScriptError(
            f"The scoring script must be a Python file, but its name does not end in .py: {path}"
        )
    loader = SourceLoader(MODULE_NAME, str(path))
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ScriptError(f"Python cannot import the scoring script: {path}")
    module = importlib.util.module_from_spec(spec)
    # dataclasses, pickle and multiprocessing look a class's module up in sys.modules.
    sys.modules[MODULE_NAME] = module
    if path.stem.isidentifier():
        sys.modules.setdefault(path.stem, module)
    _execute(lambda: spec.loader.exec_module(module), path)  # type: ignore[union-attr]
    return module


class SourceLoader(SourceFileLoader):
    """Compiles the file as it is now: a cached .pyc is only as fresh as a whole second.

    Attributes:
        source: What was compiled; empty before.
    """

    source = b""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module."""
        path = self.get_filename(fullname)
        self.source = self.get_data(path)
        return self.source_to_code(self.source, path)


def _import_main(settings: Settings) -> ModuleType:
    if importlib.util.find_spec("main") is None:
        found = sorted(p.name for p in Path(settings.app_root).glob("*"))[:50]
        listing = "\n".join(f"  {name}" for name in found) or "  (empty)"
        raise ScriptError(
            "No score script found. Expected score script main.py.\n"
            f"sys.path: {sys.path}\n{settings.app_root} holds:\n{listing}",
            hint="name the script with --entry_script",
        )
    loaded: list[ModuleType] = []
    _execute(lambda: loaded.append(importlib.import_module("main")), Path("main.py"))
    return loaded[0]


def _execute(load: Callable[[], object], path: Path) -> None:
    try:
        load()
    except BaseException as error:
        raise UserCodeError(f"The scoring script could not be imported: {path}") from error


def _check_signature(run: Any, path: str) -> tuple[tuple[inspect.Parameter, ...], bool]:
    """The parameters that get input, and whether the headers are wanted too."""
    code = _code_of(run)
    location = f"{path}:{code.co_firstlineno if code else 1}"
    try:
        parameters = tuple(inspect.signature(run).parameters.values())
    except (TypeError, ValueError) as error:
        raise ScriptError(f"run is not a function: {error}", location=location) from error
    kinds = inspect.Parameter
    if any(
        p.kind in (kinds.POSITIONAL_ONLY, kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        for p in parameters
    ):
        raise ScriptError(
            "run() cannot accept positional-only arguments, *args, or **kwargs.",
            location=location,
            hint="name each argument; a decorator without functools.wraps hides run's own names",
        )
    if not parameters:
        raise ScriptError("run() needs to accept an argument for input data.", location=location)
    inputs = tuple(p for p in parameters if p.name != REQUEST_HEADERS)
    if not inputs:
        raise ScriptError(
            'run() needs to accept an argument other than "request_headers".', location=location
        )
    return inputs, len(inputs) < len(parameters)
