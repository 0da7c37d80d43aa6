"""Aborts as a Flask view would."""

import flask
from azureml_inference_server_http.api.aml_request import rawhttp


def init():
    """Nothing to load."""


@rawhttp
def run(req):
    """Abort."""
    flask.abort(418)
