"""From a fresh process to a script that can score: done once, on the scoring thread."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference_server.batching.choice import choose_batching
from inference_server.binding import Binding, choose_binding
from inference_server.failures import display_path, place_of
from inference_server.inference_schema_support import mend_on_import
from inference_server.log_config import hook_print
from inference_server.openapi import OpenApiDocuments, ServiceDescription, build_openapi_documents
from inference_server.reference_names import provide_reference_names
from inference_server.scoring import Scoring
from inference_server.scoring_script import ScoringScript, load_script, run_init
from inference_server.settings import Settings

log = logging.getLogger("azmlinfsrv")


@dataclass(frozen=True)
class LoadedScript:
    """A script whose `init()` has returned.

    Attributes:
        scoring: Answers requests with it.
        documents: What `/swagger.json` serves.
        loop: The event loop of an asynchronous script, on which `init()` ran.
    """

    scoring: Scoring
    documents: OpenApiDocuments
    loop: asyncio.AbstractEventLoop | None


def load(settings: Settings, note: Callable[[str], None]) -> LoadedScript:
    """Import the scoring script, run its `init()` and describe it.

    Args:
        settings: Which script, and how to describe it.
        note: Told what user code runs next.

    Raises:
        StartError: The script cannot be served.
    """
    hook_print()
    provide_reference_names()
    mend_on_import()
    note(f"the import of {display_path(str(settings.script_path or 'main.py'))}")
    script = load_script(settings)
    limits = choose_batching(script, settings)
    if limits is not None:
        script = dataclasses.replace(script, batch=limits)
    binding = choose_binding(script)
    logging.getLogger("azmlinfsrv.user_script").info("%s", binding.description)
    if limits is not None:
        log.info(
            "run() is called with batches of up to %d requests, held back for up to %g ms",
            *limits,
        )
    loop = None
    if script.is_async or inspect.iscoroutinefunction(script.init):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    note(f"init() at {place_of(script.init)}")
    run_init(script, loop)
    loaded = _described(script, binding, settings, loop)
    log.info("Scoring timeout is set to %s", settings.scoring_timeout_ms)
    return loaded


def load_again(loaded: LoadedScript, settings: Settings) -> LoadedScript:
    """A loaded script described anew, after its functions changed in place.

    Raises:
        StartError: The script cannot be served as it is now.
    """
    script = loaded.scoring.script.described_again()
    return _described(script, choose_binding(script), settings, loaded.loop)


def _described(
    script: ScoringScript,
    binding: Binding,
    settings: Settings,
    loop: asyncio.AbstractEventLoop | None,
) -> LoadedScript:
    service = ServiceDescription(
        settings.service_name, settings.service_version, settings.service_path_prefix
    )
    documents = build_openapi_documents(service, binding.schemas, Path(settings.app_root))
    return LoadedScript(_scoring(script, binding, settings), documents, loop)


def _scoring(script: ScoringScript, binding: Binding, settings: Settings) -> Scoring:
    if script.batch is None:
        return Scoring(script, binding, settings)
    from inference_server.batching.scoring import BatchScoring

    return BatchScoring(script, binding, settings)
