"""Takes the headers and no input."""


def init():
    """Never reached."""


def run(request_headers):
    """Never reached."""
    return request_headers
