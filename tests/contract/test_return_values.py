"""How what `run()` returns becomes an answer."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.contract.support import requires_here, shared_server, status_line
from tests.servers import ServerProcess

server = shared_server("returns_named_value.py")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("none", b"{}"),
        ("true", b"true"),
        ("integer", b"7"),
        ("float", b"0.5"),
        ("text", b'"plain"'),
        ("json text", rb'"{\"a\": 1}"'),
        ("unicode", rb'"h\u00e9llo \u2603 \ud83d\ude00"'),
        ("list", b'[1, "two", null]'),
        ("tuple", b'[{"a": 1}, 201]'),
        ("nested", b'{"a": [1, 2], "b": {"c": null}}'),
        ("odd keys", b'{"1": "b", "null": "n", "1.5": "f"}'),
        ("empty list", b"[]"),
        ("empty text", b'""'),
    ],
)
def test_a_value_is_answered_as_json(server: ServerProcess, name: str, body: bytes) -> None:
    response = server.score(name)

    assert status_line(response) == (200, "OK")
    assert response.body == body
    assert response.headers.get_all("Content-Type") == ["application/json"]
    assert response.headers.get_all("Content-Length") == [str(len(body))]
    assert response.headers.get_all("x-ms-run-function-failed") == ["False"]


def test_a_numpy_float_is_a_number(start_server: StartServer) -> None:
    requires_here("numpy")

    assert start_server("returns_numpy_float.py").score("x").body == b"0.5"
