"""Asks for the request's headers in raw mode."""

from azureml_inference_server_http.api.aml_request import rawhttp


def init():
    """Nothing to load."""


@rawhttp
def run(req, request_headers):
    """Return one header as both see it."""
    return [req.headers["X-Foo-Bar"], request_headers["X-Foo-Bar"]]
