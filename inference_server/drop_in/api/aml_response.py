"""`AMLResponse` under the reference's name."""

from inference_server.api.aml_response import AMLResponse

__all__ = ["AMLResponse"]
