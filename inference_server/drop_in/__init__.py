"""The names of `azureml_inference_server_http` that other software is known to use."""

from inference_server import __version__

_HAS_DEBUGPY_SUPPORT = True
"""Looked at by images that start the server under a debugger."""

__all__ = ["__version__"]
