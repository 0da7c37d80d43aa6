"""Returns what the raw request says about itself."""

import flask
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp


def init():
    """Nothing to load."""


@rawhttp
def run(req: AMLRequest):
    """Return the attributes scripts use."""
    return {
        "flask_request": isinstance(req, flask.Request),
        "method": req.method,
        "path": req.path,
        "full_path": req.full_path,
        "url": req.url,
        "args": req.args.to_dict(flat=False),
        "foo": req.headers.get("x-foo"),
        "data": req.get_data().decode("latin-1"),
        "data_attribute": req.data.decode("latin-1"),
        "remote_addr": req.remote_addr,
        "content_length": req.content_length,
        "content_type": req.content_type,
    }
