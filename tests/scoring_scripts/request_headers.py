"""Asks for the request's headers beside the input."""


def init():
    """Nothing to load."""


def run(request_headers, data):
    """Return the headers, their type and the input."""
    return {"headers": request_headers, "plain": type(request_headers) is dict, "data": data}
