"""The floor: a WSGI application of ten lines that does the same work."""

import json

from tasks import total


def application(environ, start_response):
    """Answer the total."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = json.dumps(total(json.loads(body)["data"])).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]
