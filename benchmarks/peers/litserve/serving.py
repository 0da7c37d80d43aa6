"""What the services have in common: a body with rows, and the port as only argument."""

from __future__ import annotations

import sys
from typing import Any

import litserve as ls


class RowsAPI(ls.LitAPI):
    """Takes the rows out of the body; answers what `predict` returns.

    Without type hints: LitServe would check bodies against them.
    """

    def setup(self, device):
        """There is nothing to load."""

    def decode_request(self, request):
        """Rows of the body."""
        return request["data"]

    def encode_response(self, output):
        """JSON as it is."""
        return output


def serve(api: ls.LitAPI, **options: Any) -> None:
    """Serve on the loopback interface, otherwise as the docs do."""
    ls.LitServer(api, **options).run(host="127.0.0.1", port=int(sys.argv[1]))
