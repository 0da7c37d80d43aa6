"""What scoring scripts import: the request decorator and the response class."""

from inference_server.api.aml_request import AMLRequest, rawhttp
from inference_server.api.aml_response import AMLResponse

__all__ = ["AMLRequest", "AMLResponse", "rawhttp"]
