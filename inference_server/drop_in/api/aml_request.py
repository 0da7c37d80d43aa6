"""`AMLRequest` and `rawhttp` under the reference's name."""

from inference_server.api.aml_request import AMLRequest, rawhttp

__all__ = ["AMLRequest", "rawhttp"]
