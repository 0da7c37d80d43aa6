"""Which paths and methods exist, and what they answer."""

from __future__ import annotations

import pytest

from tests.contract.support import METHOD_NOT_ALLOWED, NOT_FOUND, shared_server, status_line
from tests.responses import parse_response
from tests.servers import ServerProcess

server = shared_server("counts_calls.py")


def test_health_answers_a_plain_word(server: ServerProcess) -> None:
    response = server.get("/")

    assert status_line(response) == (200, "OK")
    assert response.body == b"Healthy"
    assert response.headers.get_all("Content-Type") == ["text/html; charset=utf-8"]
    assert response.headers["Content-Length"] == "7"
    assert "x-ms-run-function-failed" not in response.headers
    assert "x-ms-run-fn-exec-ms" not in response.headers


def test_health_ignores_the_query(server: ServerProcess) -> None:
    assert server.get("/?probe=1").body == b"Healthy"


def test_health_answers_head_without_a_body(server: ServerProcess) -> None:
    response = server.request("HEAD", "/")

    assert (response.status, response.body) == (200, b"")
    assert response.headers["Content-Length"] == "7"


@pytest.mark.parametrize("path", ["/", "/swagger.json"])
def test_options_lists_the_methods_of_a_document(server: ServerProcess, path: str) -> None:
    response = server.request("OPTIONS", path)

    assert (response.status, response.body) == (200, b"")
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "GET", "HEAD"}


def test_score_answers_options_without_calling_run(server: ServerProcess) -> None:
    before = server.score().json()
    response = server.request("OPTIONS", "/score")
    after = server.score().json()

    assert (response.status, response.body) == (200, b"")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "x-ms-run-fn-exec-ms" not in response.headers
    assert after == before + 1


def test_score_refuses_head_without_calling_run(server: ServerProcess) -> None:
    before = server.score().json()
    response = server.request("HEAD", "/score")
    after = server.score().json()

    assert status_line(response) == (405, "METHOD NOT ALLOWED")
    assert (response.headers["Content-Length"], response.body) == ("33", b"")
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert after == before + 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/score"),
        ("PATCH", "/score"),
        ("DELETE", "/score"),
        ("FOO", "/score"),
        ("POST", "/"),
        ("DELETE", "/"),
        ("POST", "/swagger.json"),
    ],
)
def test_another_method_of_a_known_path_is_405(
    server: ServerProcess, method: str, path: str
) -> None:
    response = server.request(method, path, b"")

    assert status_line(response) == (405, "METHOD NOT ALLOWED")
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert response.json()["message"] == METHOD_NOT_ALLOWED


@pytest.mark.parametrize("path", ["/nowhere", "/score/", "/Score", "/score;x", "/./score"])
def test_any_other_path_is_404(server: ServerProcess, path: str) -> None:
    response = server.request("POST", path, b"{}")

    assert status_line(response) == (404, "NOT FOUND")
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert response.json()["message"] == NOT_FOUND


@pytest.mark.parametrize("path", ["//score", "/%73core", "/score#fragment", "/score?query=1"])
def test_other_spellings_of_the_scoring_path_reach_run(server: ServerProcess, path: str) -> None:
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    assert parse_response(server.raw(request.encode())).status == 200


def test_an_absolute_request_target_reaches_run(server: ServerProcess) -> None:
    target = f"http://127.0.0.1:{server.port}/score"
    request = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    assert parse_response(server.raw(request.encode())).status == 200


def test_an_answer_names_the_version_of_the_server(server: ServerProcess) -> None:
    for response in (server.get("/"), server.score(), server.get("/swagger.json")):
        (version,) = response.headers.get_all("x-ms-server-version")

        assert version.startswith("azmlinfsrv/")


def test_a_client_of_http_1_0_is_served(server: ServerProcess) -> None:
    response = parse_response(server.raw(b"GET / HTTP/1.0\r\n\r\n"))

    assert (response.version, response.status, response.body) == (10, 200, b"Healthy")
