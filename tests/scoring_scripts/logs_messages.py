"""Logs with `logging`, and fails deep down when told to."""

import logging

logger = logging.getLogger("my_model")


def init():
    """Log while loading."""
    logging.info("loading the model")


def run(data):
    """Log through the root logger and through one of its own."""
    logging.info("user says %s", data)
    logger.warning("careful with %s", data)
    logger.debug("not shown")
    if data == "fail":
        descend(30)
    return data


def descend(depth):
    """Fail far from `run`, with a cause."""
    if depth:
        descend(depth - 1)
    try:
        int("one\ntwo")
    except ValueError as error:
        raise RuntimeError("deep\ndown") from error
