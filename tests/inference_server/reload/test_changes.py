"""What a save means, from two versions of the source."""

from __future__ import annotations

import pytest

from inference_server.reload.changes import Broken, InPlace, NewWorker, Nothing, decide
from tests.inference_server.reload.support import decided, version

SCRIPT = '''
"""Scores."""
import json
import math

LIMIT = 3
NAMES = {"a": 1, "b": [2, 3]}


def log_calls(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    wrapper.__wrapped__ = function
    return wrapper


def load(path):
    return open_it(path)


def open_it(path):
    return path


def scale(value, factor=2):
    return value * factor


class Model:
    kind = "linear"

    def __init__(self, path):
        self.path = path

    def fit(self):
        return self

    def predict(self, value):
        return scale(value)

    @property
    def size(self):
        return 1


def init():
    global model
    model = Model(load("x")).fit()


@log_calls
def checked(value):
    return value


def run(data):
    return json.dumps(model.predict(checked(data)))


if __name__ == "__main__":
    init()
    print(run(1))
'''


def edited(*pairs: tuple[str, str]) -> str:
    source = SCRIPT
    for old, new in pairs:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


def test_the_same_source_means_nothing() -> None:
    assert decided(SCRIPT, SCRIPT) == Nothing()


@pytest.mark.parametrize(
    ("new", "shown"),
    [
        pytest.param(
            edited(("json.dumps(model", "str(model")), "run() in score.py", id="body-of-run"
        ),
        pytest.param(
            edited(("value * factor", "value + factor")), "scale() in score.py", id="body-of-helper"
        ),
        pytest.param(
            edited(("return scale(value)", "return 1")),
            "Model.predict() in score.py",
            id="body-of-method",
        ),
        pytest.param(
            edited(("        return 1\n", "        return 2\n")),
            "Model.size() in score.py",
            id="body-of-property",
        ),
        pytest.param(
            edited(("factor=2", "factor=3")), "scale() in score.py", id="default-of-parameter"
        ),
        pytest.param(
            edited(("def run(data)", "def run(data: dict)")), "run() in score.py", id="annotation"
        ),
        pytest.param(
            edited(("def run(data)", "def run(data, more=None)")),
            "run() in score.py",
            id="parameter",
        ),
        pytest.param(
            edited(("def checked(value):\n    return value", "def checked(value):\n    return 1")),
            "checked() in score.py",
            id="body-below-decorator",
        ),
        pytest.param(
            edited(("def run(", "def helper(x):\n    return x\n\n\ndef run(")),
            "helper() in score.py",
            id="new-function",
        ),
        pytest.param(
            edited(("    @property", "    def more(self):\n        return 2\n\n    @property")),
            "Model.more() in score.py",
            id="new-method",
        ),
        pytest.param(
            edited(("import math\n", "")), "math (removed) in score.py", id="unused-import-removed"
        ),
        pytest.param(
            edited(("import math\n", "import math\nimport base64\n")),
            "`import base64` in score.py",
            id="new-import",
        ),
        pytest.param(
            edited(("import json\nimport math\n", "import math\nimport json\n")),
            "comments and layout in score.py",
            id="imports-in-other-order",
        ),
        pytest.param("# comment\n\n" + SCRIPT, "comments and layout in score.py", id="comment"),
        pytest.param(
            edited(('"""Scores."""', '"""Scores, well."""')),
            "comments and layout in score.py",
            id="docstring-of-module",
        ),
        pytest.param(
            edited(("print(run(1))", "print(run(2))")),
            "comments and layout in score.py",
            id="main-guard",
        ),
        pytest.param(
            edited(("LIMIT = 3", "LIMIT  =  (3)")),
            "comments and layout in score.py",
            id="layout-of-statement",
        ),
    ],
)
def test_changes_in_functions_are_made_in_place(new: str, shown: str) -> None:
    decision = decided(SCRIPT, new)

    assert isinstance(decision, InPlace), decision
    assert decision.shown == shown


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        pytest.param(
            edited(("LIMIT = 3", "LIMIT = 4")), "module-level code changed (score.py:6)", id="state"
        ),
        pytest.param(
            edited(("LIMIT = 3\n", "")),
            "module-level code is gone from score.py",
            id="state-removed",
        ),
        pytest.param(
            edited(("model = Model", "model = 1; model = Model")),
            "init() in score.py changed",
            id="init",
        ),
        pytest.param(
            edited(("return open_it(path)", "return path")),
            "load() in score.py changed, and init() uses it",
            id="called-by-init",
        ),
        pytest.param(
            edited(("def open_it(path):\n    return path", "def open_it(path):\n    return 1")),
            "open_it() in score.py changed, and init() uses it",
            id="called-by-what-init-calls",
        ),
        pytest.param(
            edited(("self.path = path", "self.path = 1")),
            "Model.__init__() in score.py changed, and init() uses it",
            id="constructor-of-a-class-that-init-uses",
        ),
        pytest.param(
            edited(("        return self\n", "        return None\n")),
            "Model.fit() in score.py changed, and init() uses it",
            id="method-that-init-calls",
        ),
        pytest.param(
            edited(("        return function(*args", "        return 2 * function(*args")),
            "log_calls() in score.py changed, and code that runs on import uses it",
            id="decorator",
        ),
        pytest.param(
            edited(('kind = "linear"', 'kind = "cubic"')),
            "a statement in class Model changed (score.py:31)",
            id="class-attribute",
        ),
        pytest.param(
            edited(("class Model:", "class Model(dict):")),
            "class Model changed (score.py:30)",
            id="base-class",
        ),
        pytest.param(
            edited(("@log_calls\n", "")),
            "the decoration of checked() is gone from score.py",
            id="decorator-removed",
        ),
        pytest.param(
            edited(("def run(data)", "async def run(data)")),
            "run() in score.py changed between value, coroutine and generator",
            id="run-becomes-async",
        ),
        pytest.param(
            edited(("return json.dumps(model", "yield json.dumps(model")),
            "run() in score.py changed between value, coroutine and generator",
            id="run-becomes-a-generator",
        ),
        pytest.param(
            edited(("factor=2", "factor=LIMIT")),
            "the default of factor of scale() in score.py has to be computed",
            id="computed-default",
        ),
        pytest.param(
            edited(("def checked(value)", "def checked(value, more=1)")),
            "the parameters of checked() in score.py changed below a decorator",
            id="parameters-below-decorator",
        ),
        pytest.param(
            edited(("import math\n", "import math\nimport sklearn\n")),
            "score.py imports sklearn now",
            id="library-that-is-not-loaded",
        ),
        pytest.param(
            edited(("import json\n", "")),
            "json is gone from score.py, and still named somewhere",
            id="used-import-removed",
        ),
        pytest.param(
            edited(("import math\n", "import json as math\n")),
            "math in score.py stands for something else now",
            id="import-of-something-else",
        ),
        pytest.param(
            edited(("def scale(value, factor=2):\n    return value * factor\n", "")),
            "scale is gone from score.py, and still named somewhere",
            id="used-function-removed",
        ),
        pytest.param(
            edited(("def run(data):\n    return json.dumps(model.predict(checked(data)))\n", "")),
            "run() in score.py is gone",
            id="run-removed",
        ),
        pytest.param(
            edited(("    def predict(self, value):\n        return scale(value)\n", "")),
            "Model.predict() in score.py is gone",
            id="method-removed",
        ),
        pytest.param(
            edited(("def run(", "class Other:\n    pass\n\n\ndef run(")),
            "class Other changed (score.py:57)",
            id="new-class",
        ),
        pytest.param(
            edited(("def run(", "def model():\n    return 1\n\n\ndef run(")),
            "model() in score.py changed, and its name is bound more than once",
            id="new-function-by-the-name-of-state",
        ),
        pytest.param(
            edited(("def run(", "@log_calls\ndef more():\n    return 1\n\n\ndef run(")),
            "the decoration of more() changed (score.py:58)",
            id="new-decorated-function",
        ),
        pytest.param(
            "from __future__ import annotations\n" + SCRIPT,
            "module-level code changed (score.py:1)",
            id="future",
        ),
        pytest.param("", "module-level code is gone from score.py", id="emptied"),
        pytest.param(None, "score.py is gone", id="gone"),
    ],
)
def test_everything_else_needs_a_new_worker(new: str | None, reason: str) -> None:
    decision = decided(SCRIPT, new)

    assert decision == NewWorker(reason)


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        pytest.param("import helper\nhelper.make()", "1", "2", id="attribute-of-a-module"),
        pytest.param("from helper import make as m\nm()", "1", "2", id="alias"),
        pytest.param("TABLE['x']()", "1", "2", id="through-a-table"),
        pytest.param("getattr(table, 'make')()", "1", "2", id="by-text"),
        pytest.param("cached()", "1", "2", id="through-a-cache"),
    ],
)
def test_what_init_reaches_in_another_module_needs_a_new_worker(
    body: str, old: str, new: str
) -> None:
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    script = (
        "import functools\nfrom helper import make\nimport helper as table\n"
        "TABLE = {'x': make}\n"
        "@functools.lru_cache\ndef cached():\n    return make()\n"
        f"def init():\n{lines}\ndef run(data):\n    return 1\n"
    )
    helper = "def make():\n    return {}\n"

    decision = decide(
        [version(script, script), version(helper.format(old), helper.format(new), "helper")], ()
    )

    assert isinstance(decision, NewWorker)
    assert decision.reason.startswith("make() in helper.py changed")


def test_a_librarys_function_of_the_same_name_is_not_the_scripts() -> None:
    script = (
        "import subprocess\nimport numpy as np\n"
        "def init():\n    subprocess.run('x')\n    np.random.predict()\n"
        "def run(data):\n    return {}\n"
        "class Model:\n    def predict(self):\n        return {}\n"
    )

    assert isinstance(decided(script.format(1, 1), script.format(2, 2)), InPlace)


def test_a_cached_function_that_changes_needs_a_new_worker() -> None:
    script = (
        "import functools\n@functools.cache\ndef table():\n    return {}\n"
        "def init(): pass\ndef run(data): return table()\n"
    )

    assert isinstance(decided(script.format(1), script.format(2)), NewWorker)


def test_an_overloaded_name_needs_a_new_worker() -> None:
    script = "def init(): pass\ndef run(d): return 1\nif 1:\n    def run(d): return {}\n"
    first = "def init(): pass\ndef run(d): return {}\nif 1:\n    def run(d): return 2\n"

    assert isinstance(decided(script.format(1), script.format(2)), NewWorker)
    assert isinstance(decided(first.format(1), first.format(2)), NewWorker)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        pytest.param("def run(:\n", 1, id="syntax"),
        pytest.param("x = 1\n  y = 2\n", 2, id="indentation"),
        pytest.param("x = 1\nreturn x\n", 2, id="return-outside-of-a-function"),
    ],
)
def test_what_is_not_python_is_broken(source: str, line: int) -> None:
    decision = decided(SCRIPT, source)

    assert isinstance(decision, Broken)
    assert isinstance(decision.error, SyntaxError)
    assert (decision.error.filename, decision.error.lineno) == ("/code/score.py", line)


def test_null_bytes_are_broken() -> None:
    assert isinstance(decided(SCRIPT, "x = 1\0"), Broken)


def test_one_broken_file_stops_the_change_of_the_others() -> None:
    changes = [version("def run(d): return 1", "def run(d): return 2"), version("", "(", "helper")]

    assert isinstance(decide(changes, ()), Broken)


def test_changes_in_two_files_are_made_together() -> None:
    changes = [
        version("def run(d): return 1", "def run(d): return 2"),
        version("def f(): return 1", "def f(): return 2", "helper"),
    ]

    decision = decide(changes, ())

    assert isinstance(decision, InPlace)
    assert decision.shown == "run() in score.py; f() in helper.py"
