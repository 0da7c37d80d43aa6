"""When saves are followed."""

from __future__ import annotations

import pytest

from inference_server.errors import SettingsError
from inference_server.reload.choosing import choose_reload
from inference_server.settings import Settings


@pytest.mark.parametrize(
    ("settings", "in_terminal", "expected"),
    [
        (Settings(), True, True),
        (Settings(), False, False),
        (Settings(host="::1"), True, True),
        (Settings(host="0.0.0.0"), True, False),
        (Settings(reload=True, host="0.0.0.0"), False, True),
        (Settings(reload=False), True, False),
        (Settings(worker_preload=True), True, False),
        (Settings(worker_preload=True, reload=False), True, False),
    ],
)
def test_it_is_on_where_it_helps(settings: Settings, in_terminal: bool, expected: bool) -> None:
    assert choose_reload(settings, in_terminal=in_terminal) is expected


def test_asking_for_it_with_a_preloaded_script_is_refused() -> None:
    with pytest.raises(SettingsError, match="WORKER_PRELOAD"):
        choose_reload(Settings(worker_preload=True, reload=True), in_terminal=True)
