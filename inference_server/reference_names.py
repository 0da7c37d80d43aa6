"""Lets scripts written for the reference import under its module names, inside the server process.

`azureml_inference_server_http` and `azureml.contrib.services.aml_request` / `.aml_response` resolve
to this package's own modules. A real `azureml` package stays usable beside them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import inference_server.api.aml_request
import inference_server.api.aml_response

REFERENCE_PACKAGE = "azureml_inference_server_http"

_PARENTS = ("azureml", "azureml.contrib", "azureml.contrib.services")
_DROP_IN = Path(__file__).parent / "drop_in"


def provide_reference_names() -> None:
    """Make the names importable from now on; calling it again changes nothing."""
    sys.modules["azureml.contrib.services.aml_request"] = inference_server.api.aml_request
    sys.modules["azureml.contrib.services.aml_response"] = inference_server.api.aml_response
    if not any(isinstance(finder, _ReferenceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ReferenceFinder())
        # Last, so that the parents of installed azureml packages come first.
        sys.meta_path.append(_ParentFinder())


class _ReferenceFinder(importlib.abc.MetaPathFinder):
    """Finds the reference's package name in this package, even where the real one is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != REFERENCE_PACKAGE:
            return None
        return importlib.util.spec_from_file_location(
            fullname, _DROP_IN / "__init__.py", submodule_search_locations=[str(_DROP_IN)]
        )


class _ParentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes up the parent packages of the aliases where nothing installed provides them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _PARENTS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Let the import system make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Show the aliases as attributes of their parent."""
        if module.__name__ == _PARENTS[-1]:
            module.aml_request = inference_server.api.aml_request  # type: ignore[attr-defined]
            module.aml_response = inference_server.api.aml_response  # type: ignore[attr-defined]
