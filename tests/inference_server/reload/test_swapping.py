"""Live modules get new code; whoever holds their functions, classes and objects sees it."""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from inference_server.reload.changes import InPlace, NewWorker, decide
from inference_server.reload.swapping import CannotSwapError, Swap
from tests.inference_server.reload.support import load, save, versions_of

SCRIPT = """
import functools

def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return ["traced", function(*args, **kwargs)]
    return wrapper

class Base:
    def name(self):
        return "base"

class Model(Base):
    def __private(self):
        return 1
    def predict(self, value):
        return ["old", self.__private(), super().name()]
    @property
    def size(self):
        return "old"
    @staticmethod
    def fixed():
        return "old"
    @classmethod
    def made(cls):
        return "old"

def helper(value, factor=2, *, offset=1):
    return value * factor + offset

@traced
def decorated(value: int) -> int:
    "Old text."
    return value

async def waits():
    return "old"

def init():
    global model
    model = Model()

def run(data):
    return helper(data)
"""


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    module = load(tmp_path / "score.py", SCRIPT)
    module.init()
    vars(module).update(held=module.helper, method=module.model.predict)
    return module


def swapped(module: ModuleType, *pairs: tuple[str, str]) -> None:
    source = SCRIPT
    for old, new in pairs:
        assert old in source
        source = source.replace(old, new)
    decision = save({module: source})
    assert isinstance(decision, InPlace), decision


def test_a_functions_body_changes_for_everyone_who_holds_it(module: ModuleType) -> None:
    swapped(module, ("value * factor + offset", "value - factor"))

    assert module.run(5) == 3
    assert module.held(5) == 3


def test_methods_of_objects_that_init_made_change(module: ModuleType) -> None:
    model = module.model

    swapped(module, ('"old"', '"new"'), ("return 1\n", "return 2\n"))

    assert module.model is model
    assert model.predict(0) == ["new", 2, "base"]
    assert module.method(0) == ["new", 2, "base"]
    assert (model.size, model.fixed(), model.made()) == ("new", "new", "new")


def test_a_decorated_function_changes_inside_its_decorator(module: ModuleType) -> None:
    wrapper = module.decorated

    swapped(module, ('"Old text."\n    return value', '"New text."\n    return -value'))

    assert module.decorated is wrapper
    assert wrapper(3) == ["traced", -3]
    assert wrapper.__wrapped__.__doc__ == "New text."


def test_parameters_defaults_and_annotations_change(module: ModuleType) -> None:
    swapped(
        module,
        (
            "def helper(value, factor=2, *, offset=1)",
            "def helper(value: str, *, offset=[7], x=None)",
        ),
        ("value * factor + offset", "[value, offset, x]"),
        ("def run(data)", "def run(data: 'list[int]') -> list"),
    )

    assert module.run("a") == ["a", [7], None]
    assert str(inspect.signature(module.helper)) == "(value: str, *, offset=[7], x=None)"
    assert module.run.__annotations__ == {"data": "list[int]", "return": list}


def test_a_default_that_stayed_keeps_its_object(tmp_path: Path) -> None:
    source = "def run(data, seen=[]):\n    seen.append(data)\n    return {}\n"
    module = load(tmp_path / "score.py", source.format("len(seen)"))
    module.run(1)

    save({module: source.replace("seen=[]", "more=3, seen=[], *, x=4").format("len(seen), x")})

    assert module.run(2) == (2, 4)


def test_added_functions_methods_and_imports_are_there(module: ModuleType) -> None:
    swapped(
        module,
        ("import functools\n", "import functools\nimport base64 as b64\n"),
        ("    @property", "    def __more(self, x=(1, 2)):\n        return x\n    @property"),
        ('["old", self.__private()', '["new", self.__more()'),
        ("def run(data)", "def added(x, y=3):\n    return b64, y\n\ndef run(data)"),
        ("return helper(data)", "return added(data)"),
    )

    assert module.model.predict(0) == ["new", (1, 2), "base"]
    assert module.run(1) == (__import__("base64"), 3)
    assert module.added.__qualname__ == "added"
    assert module.added.__module__ == module.__name__


def test_removed_names_are_gone(tmp_path: Path) -> None:
    module = load(tmp_path / "score.py", "import math\ndef extra(): pass\ndef run(data): pass\n")

    decision = save({module: "def run(data): pass\n"})

    assert isinstance(decision, InPlace)
    assert not hasattr(module, "math")
    assert not hasattr(module, "extra")


def test_what_another_module_imported_changes(tmp_path: Path) -> None:
    helper = load(tmp_path / "helper_of_swap.py", "def f():\n    return 1\n", "helper_of_swap")
    script = load(
        tmp_path / "score.py", "from helper_of_swap import f\ndef run(data):\n    return f()\n"
    )

    save({helper: "def f():\n    return 2\n"})

    assert script.run(0) == 2


def test_lines_that_moved_are_the_right_ones_in_errors(module: ModuleType) -> None:
    swapped(module, ("import functools\n", "import functools\n# one\n# two\n"))

    place = traceback.extract_tb(_error_of(module).__traceback__)[-1]
    assert place.line == "return value * factor + offset"
    assert place.lineno == SCRIPT.splitlines().index("    return value * factor + offset") + 3


def _error_of(module: ModuleType) -> BaseException:
    path = Path(str(module.__file__))
    linecache.getlines(str(path))
    path.write_text(SCRIPT.replace("import functools\n", "import functools\n# one\n# two\n"))
    with pytest.raises(TypeError) as raised:
        module.run(None)
    return raised.value


def test_coroutine_functions_change(module: ModuleType) -> None:
    swapped(
        module, ('async def waits():\n    return "old"', 'async def waits():\n    return "new"')
    )

    coroutine = module.waits()
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value == "new"


def test_docstrings_change(module: ModuleType) -> None:
    swapped(module, ("\nimport functools", '"""All."""\nimport functools'))

    assert module.__doc__ == "All."


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda module: setattr(module, "run", print), id="replaced"),
        pytest.param(lambda module: setattr(module, "run", module.helper), id="another-function"),
        pytest.param(lambda module: delattr(module, "run"), id="deleted"),
    ],
)
def test_a_function_that_is_not_there_cannot_be_swapped(module: ModuleType, spoil: Any) -> None:
    spoil(module)
    before = module.helper.__code__

    with pytest.raises(CannotSwapError, match=r"run\(\)"):
        save({module: SCRIPT.replace("factor + offset", "9").replace("helper(data)", "1")})

    assert module.helper.__code__ is before


def test_a_function_inside_an_object_of_a_library_cannot_be_swapped(tmp_path: Path) -> None:
    source = "class Compiled:\n  def __init__(self, f): self.__wrapped__ = f\n"
    source += "@Compiled\ndef fast():\n    return {}\n"
    module = load(tmp_path / "score.py", source.format(1))

    with pytest.raises(CannotSwapError):
        save({module: source.format(2)})


def test_a_method_that_starts_to_use_super_cannot_be_swapped(module: ModuleType) -> None:
    with pytest.raises(CannotSwapError, match=r"Model.size\(\)"):
        save(
            {
                module: SCRIPT.replace(
                    'size(self):\n        return "old"', "size(self):\n        return super()"
                )
            }
        )


def test_undo_puts_everything_back(module: ModuleType) -> None:
    new = (
        SCRIPT.replace("import functools\n", "import functools\nimport base64\n")
        .replace("value * factor + offset", "added()")
        .replace("def helper(value, factor=2, *, offset=1)", "def helper(value: int, *, y=5)")
        .replace("def run(data)", "def added():\n    return 1\n\ndef run(data: str)")
    )
    names, answer = set(vars(module)), module.run(3)
    versions = versions_of({module: new})
    decision = decide(versions, {"base64"})
    assert isinstance(decision, InPlace)
    swap = Swap(decision, {versions[0].path: module})
    swap.apply()
    assert module.run(3) == 1

    swap.undo()

    assert module.run(3) == answer
    assert set(vars(module)) == names
    assert module.run.__annotations__ == {}
    assert str(inspect.signature(module.helper)) == "(value, factor=2, *, offset=1)"


def test_an_import_that_fails_leaves_everything_as_it_was(module: ModuleType) -> None:
    code = module.run.__code__

    with pytest.raises(CannotSwapError, match="no_such_name"):
        save(
            {
                module: SCRIPT.replace(
                    "import functools\n", "import functools\nfrom base64 import no_such_name\n"
                ).replace("return helper(data)", "return no_such_name")
            }
        )

    assert module.run.__code__ is code


def test_type_hints_may_name_what_is_imported_now(module: ModuleType) -> None:
    swapped(
        module,
        ("import functools\n", "import functools\nimport base64\n"),
        ("def run(data)", "def run(data: type(base64))"),
    )

    assert module.run.__annotations__ == {"data": type(inspect)}


def test_type_hints_without_a_value_leave_everything_as_it_was(module: ModuleType) -> None:
    code = module.helper.__code__

    with pytest.raises(CannotSwapError, match=r"type hints of run\(\).*nowhere"):
        save(
            {
                module: SCRIPT.replace("run(data)", "run(data: nowhere)").replace(
                    "value * factor", "factor"
                )
            }
        )

    assert module.helper.__code__ is code


# Any edit: either in place and then as if imported anew, or a new worker.

VALUES = st.sampled_from(["1", "2", "'a'", "LIMIT", "x", "[x, LIMIT]", "math.pi"])


@st.composite
def bodies(draw: Any, callees: tuple[str, ...]) -> str:
    value = draw(VALUES)
    calls = draw(st.lists(st.sampled_from(callees), max_size=2)) if callees else []
    return f"return [{', '.join([value, *(f'{name}(x)' for name in calls)])}]"


PARTS: dict[str, st.SearchStrategy[str]] = {
    "doc": st.sampled_from(['"""Text."""\n', '"""More."""\n', ""]),
    "imports": st.sampled_from(["import math\nimport functools", "import functools\nimport math"]),
    "extra": st.sampled_from(["", "import base64\n", "import string as s\n", "# nothing\n"]),
    "limit": st.sampled_from(["3", "4"]),
    "default": st.sampled_from(["5", "6", "None", "[]"]),
    "hint": st.sampled_from(["", ": int", ": 'str'", ": list[int]"]),
    "f": bodies(()),
    "g": bodies(("f",)),
    "h": bodies(("f", "g")),
    "make": bodies(("f",)),
    "more": st.sampled_from(["", "def more(x):\n    return 'more'\n"]),
    "kind": st.sampled_from(["", "    kind = 1\n"]),
    "m": bodies(("f",)),
    "n": bodies(("g", "self.m")),
    "init": st.sampled_from(["make(1)", "f(1)", "None"]),
    "run": bodies(("f", "g", "h", "Model().m", "state.n")),
}


def script_of(parts: dict[str, str]) -> str:
    return """{doc}{imports}
{extra}LIMIT = {limit}
def wrap(function):
    @functools.wraps(function)
    def inner(x): return ['w', function(x)]
    return inner
def f(x):
    {f}
def g(x, y={default}):
    {g}
@wrap
def h(x):
    {h}
{more}def make(x):
    {make}
class Model:
{kind}    def m(self, x):
        {m}
    def n(self, x):
        {n}
def init():
    global state, made
    state, made = Model(), {init}
def run(x{hint}):
    {run}
""".format(**parts)


any_parts = st.fixed_dictionaries(PARTS)


@st.composite
def edits(draw: Any) -> tuple[str, str]:
    """A script, and the same with a few of its parts changed."""
    old = draw(any_parts)
    names = draw(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=3, unique=True))
    return script_of(old), script_of({**old, **{name: draw(PARTS[name]) for name in names}})


def observed(module: ModuleType) -> Iterator[Any]:
    """What a client, a debugger or a reader of error reports can see of a module."""
    yield module.__doc__
    yield sorted(name for name in vars(module) if not name.startswith("__"))
    yield module.made, module.LIMIT, module.run(1), module.h(1), module.state.n(1)
    for name in ("f", "g", "make", "run", "init", "wrap"):
        function = vars(module)[name]
        yield name, str(inspect.signature(function)), function.__code__.co_firstlineno
        yield function.__doc__
    for function in (module.h.__wrapped__, module.Model.m, module.Model.n):
        yield function.__code__.co_firstlineno, function.__code__.co_code


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(edit=edits())
def test_in_place_is_as_good_as_a_fresh_import(
    tmp_path_factory: pytest.TempPathFactory, edit: tuple[str, str]
) -> None:
    old, new = edit
    folder = tmp_path_factory.mktemp("swap")
    live = load(folder / "score.py", old)
    live.init()

    decision = save({live: new})

    hypothesis.event(type(decision).__name__)
    if isinstance(decision, InPlace):
        fresh = load(folder / "score.py", new)
        fresh.init()
        assert list(observed(live)) == list(observed(fresh))
    elif not isinstance(decision, NewWorker):
        assert old == new


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(old=any_parts, run=PARTS["run"])
def test_a_change_of_run_alone_is_always_in_place(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, str], run: str
) -> None:
    live = load(tmp_path_factory.mktemp("swap") / "score.py", script_of(old))
    live.init()

    decision = save({live: script_of({**old, "run": f"# in place\n    {run}"})})

    assert isinstance(decision, InPlace)
