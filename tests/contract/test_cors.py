"""Which pages of other origins may call the server."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import Response
from tests.servers import ServerProcess

server = shared_server(
    "returns_input.py",
    "--access_control_allow_origins",
    r"http://a.example, https://B.example:8443 ,http://.*\.c\.example",
)
closed = shared_server("returns_input.py")

ALLOW_ORIGIN = "Access-Control-Allow-Origin"
CORS_PREFIX = "access-control-"
PREFLIGHT = {
    "Origin": "http://a.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, x-foo",
}


def cors_headers(response: Response) -> dict[str, str]:
    """Return the headers that allow something to a page."""
    return {
        name.lower(): value
        for name, value in response.headers
        if name.lower().startswith(CORS_PREFIX)
    }


@pytest.mark.parametrize(
    "origin",
    ["http://a.example", "https://b.example:8443", "http://x.c.example", "http://A.example"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/score"), ("GET", "/")])
def test_an_allowed_origin_is_echoed(
    server: ServerProcess, method: str, path: str, origin: str
) -> None:
    response = server.request(method, path, headers={"Origin": origin})

    assert response.status == 200
    assert cors_headers(response) == {ALLOW_ORIGIN.lower(): origin}
    assert "Origin" in response.headers["Vary"]


def test_documents_may_be_read_by_an_allowed_origin(server: ServerProcess) -> None:
    response = server.get("/swagger.json", {"Origin": "http://a.example"})

    assert response.headers[ALLOW_ORIGIN] == "http://a.example"


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://a.example", "http://a.example:80", "http://b.example:8443"],
)
def test_another_origin_is_served_without_permission(server: ServerProcess, origin: str) -> None:
    response = server.score("x", {"Origin": origin})

    assert (response.status, response.json()) == (200, "x")
    assert cors_headers(response) == {}


def test_a_preflight_learns_methods_and_headers(server: ServerProcess) -> None:
    response = server.request("OPTIONS", "/score", headers=PREFLIGHT)

    assert (response.status, response.body) == (200, b"")
    assert cors_headers(response) == {
        "access-control-allow-origin": "http://a.example",
        "access-control-allow-headers": "content-type, x-foo",
        "access-control-allow-methods": "GET, POST",
    }


def test_a_preflight_for_another_method_learns_nothing(server: ServerProcess) -> None:
    headers = {**PREFLIGHT, "Access-Control-Request-Method": "DELETE"}

    response = server.request("OPTIONS", "/score", headers=headers)

    assert response.status == 200
    assert set(cors_headers(response)) <= {"access-control-allow-origin"}


def test_a_preflight_of_another_origin_learns_nothing(server: ServerProcess) -> None:
    response = server.request(
        "OPTIONS", "/score", headers={**PREFLIGHT, "Origin": "http://evil.example"}
    )

    assert response.status == 200
    assert ALLOW_ORIGIN not in response.headers


def test_without_configuration_nothing_is_allowed(closed: ServerProcess) -> None:
    response = closed.request("OPTIONS", "/score", headers=PREFLIGHT)

    assert (response.status, response.body) == (200, b"")
    assert cors_headers(response) == {}


def test_a_failed_answer_is_readable_too(server: ServerProcess) -> None:
    response = server.score(b"\xff", {"Origin": "http://a.example"})

    assert (response.status, response.headers[ALLOW_ORIGIN]) == (400, "http://a.example")


def test_the_allowed_origins_are_logged(server: ServerProcess) -> None:
    server.wait_for_log(
        r"azmlinfsrv - Enabling CORS for the following origins: "
        r"http://a\.example, https://B\.example:8443, http://"
    )


def test_a_star_allows_every_origin(start_server: StartServer) -> None:
    server = start_server("returns_input.py", environ={"AML_CORS_ORIGINS": "*"})

    allowed = server.score("x", {"Origin": "http://any.example"}).headers[ALLOW_ORIGIN]

    assert allowed in {"*", "http://any.example"}


def test_a_raw_script_answers_preflights_with_permission_added(start_server: StartServer) -> None:
    server = start_server(
        "raw_reports_request.py", "--access_control_allow_origins", "http://a.example"
    )

    response = server.request("OPTIONS", "/score", headers=PREFLIGHT)

    assert response.json()["method"] == "OPTIONS"
    assert cors_headers(response)["access-control-allow-methods"] == "GET, POST"
