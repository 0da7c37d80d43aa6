"""Imports the server's interface under every name scripts know it by."""

import flask
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

import azureml_inference_server_http
from azureml_inference_server_http.api import aml_request, aml_response
from azureml_inference_server_http.log_config import AMLLogFormatter, RootAccessFilter


def init():
    """Nothing to load."""


def run(data):
    """Return whether the names mean what scripts expect."""
    return {
        "version": azureml_inference_server_http.__version__,
        "debugpy": azureml_inference_server_http._HAS_DEBUGPY_SUPPORT,
        "request": AMLRequest is aml_request.AMLRequest and issubclass(AMLRequest, flask.Request),
        "rawhttp": rawhttp is aml_request.rawhttp,
        "response": AMLResponse is aml_response.AMLResponse
        and issubclass(AMLResponse, flask.Response),
        "logging": [AMLLogFormatter.__name__, RootAccessFilter.__name__],
    }
