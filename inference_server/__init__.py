"""Serves one scoring script (`init()` and `run()`) over HTTP: the `azmlinfsrv` command."""

__version__ = "0.1.0"
