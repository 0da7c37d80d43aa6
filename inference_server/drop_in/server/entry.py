"""`azureml_inference_server_http.server.entry:app`, for WSGI servers that are started directly."""

from inference_server.entry import app

__all__ = ["app"]
