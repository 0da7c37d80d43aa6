"""Which signatures `run()` may have, and how its parameters are filled."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.contract.support import requires_here

VARIABLE = "run() cannot accept positional-only arguments, *args, or **kwargs."


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("run_positional_only.py", VARIABLE),
        ("run_takes_args.py", VARIABLE),
        ("run_takes_kwargs.py", VARIABLE),
        ("run_without_parameters.py", "run() needs to accept an argument for input data."),
        (
            "run_only_request_headers.py",
            'run() needs to accept an argument other than "request_headers".',
        ),
    ],
)
def test_a_script_that_cannot_be_called_ends_the_server(
    start_server: StartServer, script: str, message: str
) -> None:
    server = start_server(script, ready=False)

    assert server.wait_exit() == 3
    assert message in server.log
    assert "Invoking user's init function" not in server.log


@pytest.mark.parametrize("name", ["init", "run"])
def test_a_script_without_a_function_ends_the_server(start_server: StartServer, name: str) -> None:
    server = start_server(f"{name}_missing.py", ready=False)

    assert server.wait_exit() == 3
    assert f"{name}()" in server.log
    assert server.log_lines(rf"{name}_missing\.py")


def test_raw_request_and_schema_exclude_each_other(start_server: StartServer) -> None:
    requires_here("inference_schema")
    server = start_server("raw_and_schema.py", ready=False)

    assert server.wait_exit() == 3
    assert "run() cannot be decorated with both @rawhttp and @input_schema" in server.log


@pytest.mark.parametrize(
    ("script", "body", "expected"),
    [
        ("run_keyword_only.py", "ab", "abab"),
        ("run_is_callable_object.py", "ab", "abab"),
        ("run_is_wrapped.py", "ab", "AB"),
    ],
)
def test_run_may_be_anything_with_a_signature(
    start_server: StartServer, script: str, body: str, expected: str
) -> None:
    assert start_server(script).score(body).json() == expected


def test_request_headers_are_a_dict_with_title_case_names(start_server: StartServer) -> None:
    response = start_server("request_headers.py").raw(
        b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
        b"x-foo-bar: one\r\nX-FOO-BAR: two\r\ncontent-type: text/plain\r\n\r\nhi"
    )

    assert b'"data": "hi"' in response
    assert b'"plain": true' in response
    assert b'"X-Foo-Bar": "one,two"' in response
    assert b'"Content-Type": "text/plain"' in response


def test_request_headers_work_in_raw_mode(start_server: StartServer) -> None:
    server = start_server("raw_request_headers.py")

    assert server.score("x", {"x-foo-bar": "one"}).json() == ["one", "one"]
