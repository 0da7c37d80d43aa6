"""Streams text and bytes, one chunk for each yield."""

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Nothing to load."""


def run(content_type):
    """Stream three chunks, with the content type that was asked for."""
    headers = {"Content-Type": content_type} if content_type else {}
    return AMLResponse(iter(["one", b"\x00\xff", "drei \u00e9"]), 200, headers)
