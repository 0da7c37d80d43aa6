"""A listening socket that lets nobody else in, and still hands over who is there."""

from __future__ import annotations

import socket
import sys

import pytest

from inference_server.gunicorn_engine.last_clients import keep_new_clients_out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not on this machine: no Linux")
def test_who_waits_is_still_let_in_and_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as early:
            early.sendall(b"early")

            keep_new_clients_out([listener])

            with pytest.raises(TimeoutError), socket.create_connection(address, timeout=0.2):
                pass
            listener.settimeout(5)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(10) == b"early"
            listener.settimeout(0.1)
            with pytest.raises(TimeoutError):
                listener.accept()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_sockets_of_other_families_are_left_alone(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        keep_new_clients_out([listener])

        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
