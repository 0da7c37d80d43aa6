"""Returns the body as Flask parses it: JSON, form fields and files."""

from azureml_inference_server_http.api.aml_request import rawhttp


def init():
    """Nothing to load."""


@rawhttp
def run(req):
    """Return JSON as it is, and what a form holds otherwise."""
    if req.is_json:
        return {"json": req.json, "get_json": req.get_json()}
    return {
        "form": req.form.to_dict(),
        "files": [
            [file.filename, file.stream.read().decode("latin-1")]
            for file in req.files.getlist("file[]")
        ],
        "data": req.data.decode("latin-1"),
    }
