"""The reference's names lead to the server's own modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import inference_server.api.aml_request
import inference_server.api.aml_response
from inference_server import __version__, log_config
from inference_server.reference_names import provide_reference_names

ROOTS = ("azureml", "azureml_inference_server_http")


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide the names for one test."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(ROOTS)}
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    forget()
    provide_reference_names()
    yield
    forget()
    sys.modules.update(before)


def test_the_aliases_are_the_modules_themselves():
    services = importlib.import_module("azureml.contrib.services")

    for name, module in (
        ("aml_request", inference_server.api.aml_request),
        ("aml_response", inference_server.api.aml_response),
    ):
        assert importlib.import_module(f"azureml.contrib.services.{name}") is module
        assert getattr(services, name) is module


def run_statement(statement: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(statement, names)
    return names


def test_every_kind_of_import_statement_finds_the_aliases():
    package = "azureml.contrib.services"
    names = {
        **run_statement(f"from {package}.aml_request import AMLRequest, rawhttp"),
        **run_statement(f"from {package}.aml_response import AMLResponse"),
        **run_statement(f"from {package} import aml_request"),
        **run_statement(f"import {package}.aml_request"),
    }

    assert names["AMLRequest"] is inference_server.api.aml_request.AMLRequest
    assert names["rawhttp"] is inference_server.api.aml_request.rawhttp
    assert names["AMLResponse"] is inference_server.api.aml_response.AMLResponse
    assert names["aml_request"] is inference_server.api.aml_request
    assert names["azureml"] is sys.modules["azureml"]


def test_the_package_is_ours():
    package = importlib.import_module("azureml_inference_server_http")

    assert (package.__version__, package._HAS_DEBUGPY_SUPPORT) == (__version__, True)


@pytest.mark.parametrize(
    ("module", "name", "found"),
    [
        ("api.aml_request", "AMLRequest", inference_server.api.aml_request.AMLRequest),
        ("api.aml_response", "AMLResponse", inference_server.api.aml_response.AMLResponse),
        ("log_config", "AMLLogFormatter", log_config.AMLLogFormatter),
        ("log_config", "RootAccessFilter", log_config.RootAccessFilter),
    ],
)
def test_the_modules_of_the_package_lead_to_ours(module: str, name: str, found: object):
    loaded = importlib.import_module(f"azureml_inference_server_http.{module}")

    assert getattr(loaded, name) is found


def test_the_launcher_can_be_named():
    module = importlib.import_module("azureml_inference_server_http.amlserver")

    assert callable(module.main)


def test_what_the_package_lacks_is_not_made_up():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("azureml_inference_server_http.nothing")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("azureml.nothing")


def test_an_installed_azureml_package_stays_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "azureml" / "ai").mkdir(parents=True)
    (tmp_path / "azureml" / "__init__.py").touch()
    (tmp_path / "azureml" / "ai" / "__init__.py").write_text("NAME = 'real'\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert importlib.import_module("azureml.ai").NAME == "real"
    services = importlib.import_module("azureml.contrib.services.aml_response")
    assert services is inference_server.api.aml_response


def test_providing_the_names_again_changes_nothing():
    before = list(sys.meta_path)

    provide_reference_names()

    assert sys.meta_path == before
