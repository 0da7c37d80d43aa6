"""When the answer says which server it came from."""

from __future__ import annotations

from tests.conftest import StartServer


def test_the_version_header_can_be_switched_off(start_server: StartServer) -> None:
    server = start_server(
        "returns_input.py", environ={"SERVER_VERSION_LOG_RESPONSE_ENABLED": "false"}
    )

    assert "x-ms-server-version" not in server.get("/").headers
    assert "x-ms-server-version" not in server.score("x").headers


def test_switched_off_the_header_carries_the_users_own_value(start_server: StartServer) -> None:
    environ = {
        "SERVER_VERSION_LOG_RESPONSE_ENABLED": "no",
        "HTTP_X_MS_SERVER_VERSION": "mine/7",
    }
    server = start_server("returns_input.py", environ=environ)

    assert server.score("x").headers.get_all("x-ms-server-version") == ["mine/7"]
