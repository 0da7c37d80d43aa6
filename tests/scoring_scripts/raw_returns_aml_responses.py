"""Answers with the `AMLResponse` or Flask response named in the query."""

import json

import flask
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Nothing to load."""


def later_mimetype():
    """Return a response whose type is set after it was made."""
    response = AMLResponse(b"\x89PNG", 200)
    response.mimetype = "image/png"
    response.headers["X-Later"] = "yes"
    return response


def own_ids():
    """Return a response that tries to speak for the server."""
    ids = {"x-request-id": "mine", "x-ms-request-id": "mine", "x-ms-client-request-id": "mine"}
    return AMLResponse("x", 200, ids)


RESPONSES = {
    "text": lambda: AMLResponse("text \u00e9", 200),
    "bytes": lambda: AMLResponse(b"\x00\xff\x80", 200),
    "json": lambda: AMLResponse({"e": [1, "\u00e9"]}, 422, json_str=True),
    "none": lambda: AMLResponse(None, 201),
    "failed": lambda: AMLResponse("sorry", 200, {}, False, True),
    "424": lambda: AMLResponse({"e": 1}, 424, json_str=True),
    "503": lambda: AMLResponse("later", 503),
    "555": lambda: AMLResponse("odd", 555),
    "204": lambda: AMLResponse(None, 204),
    "string status": lambda: AMLResponse("gone", "404 Not Here"),
    "headers": lambda: AMLResponse("x", 200, {"X-One": "1", "X-Two": "a b"}),
    "content type": lambda: AMLResponse("a,b", 200, {"Content-Type": "text/csv"}),
    "keywords": lambda: AMLResponse(
        message={"k": 1},
        status_code=200,
        response_headers={"X-One": "1"},
        json_str=True,
        run_function_failed=True,
    ),
    "later mimetype": later_mimetype,
    "own ids": own_ids,
    "flask": lambda: flask.Response("flask body", 202, {"X-One": "1"}, mimetype="text/plain"),
    "flask 500": lambda: flask.Response("flask failed", 500),
    "jsonify": lambda: flask.jsonify({"a": 1}),
    "make_response": lambda: flask.make_response(json.dumps([1]), 203),
    "is response": lambda: AMLResponse(str(isinstance(AMLResponse("x", 200), flask.Response)), 200),
}


@rawhttp
def run(req):
    """Make the response."""
    return RESPONSES[req.args["name"]]()
