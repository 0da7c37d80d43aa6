"""An ingestion endpoint on loopback that stands for Application Insights."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Ingestion(ThreadingHTTPServer):
    """Stands for Application Insights: keeps what is posted and answers as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), IngestionHandler)
        self.envelopes: list[dict[str, Any]] = []
        self.status = 200
        self.errors: list[dict[str, Any]] = []
        self.answer = threading.Event()
        self.answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        return [e for e in self.envelopes if e["data"]["baseType"] == base_type]


class IngestionHandler(BaseHTTPRequestHandler):
    server: Ingestion

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        envelopes = json.loads(body)
        self.server.answer.wait(30)
        self.server.envelopes += envelopes
        accepted = len(envelopes) - len(self.server.errors)
        answer = json.dumps(
            {
                "itemsReceived": len(envelopes),
                "itemsAccepted": accepted,
                "errors": self.server.errors,
            }
        ).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the envelopes are what a test reads."""
