"""A real HTTP server of a few lines on a thread, whose behaviour the path chooses."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager


class Handler(http.server.BaseHTTPRequestHandler):
    """`/ok`, `/refuse`, `/hang`, `/drop`, `/chunks`, `/close`."""

    protocol_version = "HTTP/1.1"
    server: TinyServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        getattr(self, f"_{self.path[1:]}")()

    def _answer(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", "2"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"10")

    def _ok(self) -> None:
        self._answer(200)

    def _refuse(self) -> None:
        self._answer(429)

    def _close(self) -> None:
        self._answer(200, ("Connection", "close"))

    def _hang(self) -> None:
        self.server.released.wait(30)
        self.close_connection = True

    def _drop(self) -> None:
        self.close_connection = True

    def _chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"6\r\ntoken \r\n6\r\ntoken \r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


class TinyServer(http.server.ThreadingHTTPServer):
    """Remembers what it was asked; requests that hang go on when it is released."""

    request_queue_size = 128
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.released = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def tiny_server() -> Generator[TinyServer]:
    """Serve until the block is left."""
    with TinyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
