"""Connecting to a debugger before the script loads."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from inference_server.debugger import connect_to_debugger
from inference_server.errors import StartError
from inference_server.settings import Settings


class Debugger(SimpleNamespace):
    """Stands where debugpy would be."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self._error = error

    def connect(self, address: tuple[str, int]) -> None:
        self.calls.append(address)
        if self._error is not None:
            raise self._error

    def wait_for_client(self) -> None:
        self.calls.append("waited")


def test_without_a_port_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "debugpy", None)

    connect_to_debugger(Settings())


def test_the_client_is_connected_to_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    debugger = Debugger()
    monkeypatch.setitem(sys.modules, "debugpy", debugger)

    connect_to_debugger(Settings(debug_port=5678))

    assert debugger.calls == [("127.0.0.1", 5678), "waited"]
    lines = capsys.readouterr().out.splitlines()
    assert [line[:2] for line in lines] == ["!!", "!!", "**"]
    assert lines[-1] == "** Connecting to debugger at port 5678..."


def test_a_missing_debugger_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "debugpy", None)

    with pytest.raises(StartError) as caught:
        connect_to_debugger(Settings(debug_port=5678))

    assert str(caught.value) == "AZUREML_DEBUG_PORT is set, but debugpy is not installed"
    assert caught.value.hint == "pip install 'azml[debug]', or unset AZUREML_DEBUG_PORT"
    assert capsys.readouterr().out.splitlines()[-1] == (
        "** Cannot connect to a debugger because debugpy is not installed."
    )


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), RuntimeError("refused")])
def test_a_client_that_does_not_listen_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, error: Exception
):
    monkeypatch.setitem(sys.modules, "debugpy", Debugger(error))

    with pytest.raises(StartError) as caught:
        connect_to_debugger(Settings(debug_port=5678))

    assert str(caught.value) == "No debugger listens on 127.0.0.1:5678: refused"
    assert caught.value.hint == ("start listening in the editor first, or unset AZUREML_DEBUG_PORT")
