"""A `run()` decorated with `@rawhttp` gets the request itself."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX, SCRIPT_FAILED, shared_server
from tests.servers import ServerProcess

server = shared_server("raw_reports_request.py")
parsing = shared_server("raw_reports_parsed_body.py")

MULTIPART = {"Content-Type": "multipart/form-data; boundary=limit"}


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Return a body of parts, each given by what follows `form-data;` and its content."""
    head = b"--limit\r\nContent-Disposition: form-data; "
    body = b"".join(head + name.encode() + b"\r\n\r\n" + data + b"\r\n" for name, data in parts)
    return body + b"--limit--\r\n"


def test_run_sees_the_request_as_flask_does(server: ServerProcess) -> None:
    headers = {"X-Foo": "bar", "Content-Type": "application/octet-stream", "Host": "host.example"}

    response = server.request("POST", "/score?m=1&m=2", b"\x00\xff\x80", headers)

    assert response.status == 200
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert response.json() == {
        "flask_request": True,
        "method": "POST",
        "path": "/score",
        "full_path": "/score?m=1&m=2",
        "url": "http://host.example/score?m=1&m=2",
        "args": {"m": ["1", "2"]},
        "foo": "bar",
        "data": "\x00\xff\x80",
        "data_attribute": "\x00\xff\x80",
        "remote_addr": "127.0.0.1",
        "content_length": 3,
        "content_type": "application/octet-stream",
    }


def test_the_log_names_the_mode(server: ServerProcess) -> None:
    server.wait_for_log(
        LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.user_script - run\(\) is decorated with @rawhttp\. "
        r"Server will invoke it with the flask request object\."
    )


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_every_method_of_score_reaches_run(server: ServerProcess, method: str) -> None:
    response = server.request(method, "/score")

    assert (response.status, response.json()["method"]) == (200, method)
    assert "x-ms-run-fn-exec-ms" in response.headers


def test_head_reaches_run_and_has_no_body(server: ServerProcess) -> None:
    response = server.request("HEAD", "/score")

    assert (response.status, response.body) == (200, b"")
    assert "x-ms-run-fn-exec-ms" in response.headers


def test_put_does_not_reach_run(server: ServerProcess) -> None:
    assert server.request("PUT", "/score", b"x").status == 405


def test_a_json_body_is_parsed_on_demand(parsing: ServerProcess) -> None:
    assert parsing.score('{"a": 1}').json() == {"json": {"a": 1}, "get_json": {"a": 1}}


def test_a_json_body_that_is_none_fails_the_run(parsing: ServerProcess) -> None:
    response = parsing.score("{")

    assert (response.status, response.json()["message"]) == (500, SCRIPT_FAILED)


def test_files_and_fields_of_a_multipart_body_arrive(parsing: ServerProcess) -> None:
    body = multipart(
        ('name="field"', "wért".encode()),
        ('name="file[]"; filename="a.bin"', b"\x00\xff"),
        ('name="file[]"; filename="b.txt"', b"second"),
    )

    assert parsing.score(body, MULTIPART).json() == {
        "form": {"field": "wért"},
        "files": [["a.bin", "\x00\xff"], ["b.txt", "second"]],
        "data": "",
    }


def test_the_fields_of_a_form_arrive(parsing: ServerProcess) -> None:
    response = parsing.score("a=1&b=x+y", {"Content-Type": "application/x-www-form-urlencoded"})

    assert response.json() == {"form": {"a": "1", "b": "x y"}, "files": [], "data": ""}


def test_an_abort_is_a_failed_run(start_server: StartServer) -> None:
    response = start_server("raw_aborts.py").score("x")

    assert (response.status, response.json()["message"]) == (500, SCRIPT_FAILED)
    assert response.headers["x-ms-run-function-failed"] == "True"
