"""`run` itself is a generator: what it yields is streamed."""

import time
from pathlib import Path


class Closing:
    """An iterator whose `close` raises."""

    def __init__(self):
        self.left = 2

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return {"left": self.left}

    def close(self):
        """Fail, as a clean-up may."""
        raise RuntimeError("close failed")


def init():
    """Nothing to load."""


def run(kind):
    """Yield items of a kind."""
    if kind == "objects":
        yield {"n": 1}
        yield [2, None]
        yield "three"
    elif kind == "text":
        yield "one\n"
        yield "zwei é"
    elif kind == "bytes":
        yield b"\x00\xff"
        yield b"\n"
    elif kind == "fails first":
        raise ValueError("no first item")
    elif kind == "fails later":
        yield {"n": 1}
        raise ValueError("no second item")
    elif kind == "cannot be encoded":
        yield {"n": 1}
        yield object()
    elif kind == "close fails":
        yield from Closing()
        try:
            yield "last"
        finally:
            raise RuntimeError("close failed")
    elif kind == "endless":
        try:
            while True:
                yield {"pad": "x" * 100_000}
                time.sleep(0.01)
        finally:
            Path("closed").touch()
