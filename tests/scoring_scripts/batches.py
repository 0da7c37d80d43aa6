"""Takes batches, notes them in the file `calls`, and does with each what its requests ask for."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flask import current_app, g, request

from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_server.scripting import batch


@dataclass
class Request:
    """One request's body."""

    n: int = 0
    do: str = "answer"


class Bad(ValueError):
    """What a bad input causes."""


def init():
    """Nothing to load."""


@batch(max_size=8, max_wait_ms=20)
def run(data: list[Request]):
    """An answer for each request: ten times its number."""
    with Path("calls").open("a") as calls:
        calls.write(" ".join(f"{item.do}:{item.n}" for item in data) + "\n")
    wanted = {item.do for item in data}
    while "wait" in wanted and not Path("release").exists():
        time.sleep(0.01)
    if "raise" in wanted:
        raise Bad("bad input")
    if "use flask.request" in wanted:
        return [request.method for _ in data]
    if "use flask.g" in wanted:
        g.count = len(data)
        return [[g.count, bool(current_app.name)] for _ in data]
    if "sleep" in wanted:
        time.sleep(30)
    if "print" in wanted:
        print("printed by run")
    return shaped([answer(item) for item in data], wanted)


def answer(item):
    """One request's answer."""
    if item.do == "be an exception":
        return Bad(f"number {item.n} is bad")
    if item.do == "respond":
        return AMLResponse({"n": item.n}, 201, {"x-mine": str(item.n)})
    if item.do == "be unencodable":
        return object()
    if item.do == "stream":
        return iter([1, 2])
    return item.n * 10


def shaped(answers, wanted):
    """The answers in the shape that some request asks for."""
    if "one too few" in wanted:
        return answers[:-1]
    if "be a dict" in wanted:
        return dict.fromkeys(range(len(answers)))
    if "be an array" in wanted:
        return np.array(answers)
    return answers
