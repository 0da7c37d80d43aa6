"""Fails in the middle of a stream."""

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Nothing to load."""


def chunks():
    """Yield twice, then raise."""
    yield "one"
    yield "two"
    raise RuntimeError("the stream broke")


def run(data):
    """Start the stream, unless the input is `whole`."""
    return data if data == "whole" else AMLResponse(chunks(), 200)
