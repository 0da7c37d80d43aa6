"""Which addresses the server listens on, and what it says about them."""

from __future__ import annotations

import contextlib
import http.client
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.behaviour.support import wait_for_line, wait_for_queue
from tests.conftest import StartServer
from tests.servers import ServerProcess, free_port, poll


def has_ipv6() -> bool:
    """Tell whether this machine has an IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_only_this_machine_is_served_by_default(start_server: StartServer) -> None:
    server = start_server("returns_input.py")

    server.wait_for_log(
        r"^Listening on 127\.0\.0\.1 only: clients on this machine\. "
        r"Open up with --host 0\.0\.0\.0; there is no authentication\.$"
    )
    server.wait_for_log(rf"Listening at: http://127\.0\.0\.1:{server.port} ")


def test_all_addresses_are_served_on_request(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--host", "0.0.0.0")

    assert server.score("x").json() == "x"
    server.wait_for_log(
        r"^Listening on 0\.0\.0\.0: clients on other machines can connect, unauthenticated\.$"
    )
    server.wait_for_log(rf"^Score:          POST  127\.0\.0\.1:{server.port}/score$")


@pytest.mark.skipif(not has_ipv6(), reason="not on this machine: an IPv6 loopback address")
def test_ipv6_is_served_on_request(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--host", "::1", ready=False)
    server.wait_for_log("ready for serving traffic")

    connection = http.client.HTTPConnection("::1", server.port, timeout=10)
    connection.request("POST", "/score", body="x")
    response = connection.getresponse()

    assert (response.status, response.read()) == (200, b'"x"')
    connection.close()
    server.wait_for_log(r"^Listening on ::1 only: clients on this machine\.")
    server.wait_for_log(rf"^Score:          POST  \[::1\]:{server.port}/score$")


@pytest.fixture
def separate(start_server: StartServer) -> tuple[ServerProcess, int]:
    """A server whose only place is taken, and its health port."""
    port = free_port()
    environ = {"SEPERATE_HEALTH_ENDPOINT": "true"}
    server = start_server("records_calls.py", "--health_port", str(port), environ=environ)
    return server, port


def test_the_health_port_answers_while_run_is_busy(separate: tuple[ServerProcess, int]) -> None:
    server, port = separate

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(server.score, "wait")
        wait_for_line(server.cwd / "calls", "wait")
        queued = pool.submit(server.score, "queued")
        wait_for_queue(server, 1)
        answers = [
            server.request("GET", path, port=port, timeout=2) for path in ("/livez", "/readyz", "/")
        ]
        (server.cwd / "release").touch()
        assert (running.result(10).status, queued.result(10).status) == (200, 200)

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[1].json()["state"] == "BUSY"


def test_a_name_is_an_address_too(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--host", "localhost", ready=False)
    server.wait_for_log("ready for serving traffic")

    def answers() -> bool:
        connection = http.client.HTTPConnection("localhost", server.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            return connection.getresponse().status == 200

    assert poll(answers, timeout=5)
    server.wait_for_log(r"^Listening on localhost only: clients on this machine\.")
