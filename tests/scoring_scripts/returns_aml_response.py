"""Returns an `AMLResponse` without asking for the raw request."""

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Nothing to load."""


def run(data):
    """Return the input in a response."""
    return AMLResponse(data, 202, {"X-Mode": "string"})
