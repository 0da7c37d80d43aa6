"""Whether to reload on save: as the user says, else in a terminal on this machine only."""

from __future__ import annotations

from inference_server.errors import SettingProblem, SettingsError
from inference_server.settings import Settings


def choose_reload(settings: Settings, *, in_terminal: bool) -> bool:
    """Whether saves are followed.

    Args:
        settings: Their `reload` is None where the user said nothing.
        in_terminal: Somebody sits at standard input.

    Raises:
        SettingsError: It was asked for together with `WORKER_PRELOAD`.
    """
    if settings.reload is None:
        return in_terminal and settings.is_local and not settings.worker_preload
    if settings.reload and settings.worker_preload:
        message = (
            "Reloading on save needs workers that load the script themselves, which WORKER_PRELOAD "
            "takes from them: leave one of the two away"
        )
        raise SettingsError([SettingProblem("AZML_RELOAD", message, "environment variable")])
    return settings.reload
