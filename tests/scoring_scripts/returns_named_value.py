"""Answers with the value registered under the name it was given."""

VALUES = {
    "none": None,
    "true": True,
    "integer": 7,
    "float": 0.5,
    "text": "plain",
    "json text": '{"a": 1}',
    "unicode": "h\u00e9llo \u2603 \U0001f600",
    "list": [1, "two", None],
    "tuple": ({"a": 1}, 201),
    "nested": {"a": [1, 2], "b": {"c": None}},
    "odd keys": {1: "i", None: "n", True: "b", 1.5: "f"},
    "empty list": [],
    "empty text": "",
}


def init():
    """Nothing to load."""


def run(name):
    """Look the value up."""
    return VALUES[name]
