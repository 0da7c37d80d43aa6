"""What the probes say."""

from __future__ import annotations

import json

import pytest

from inference_server.health import Health, ServerState


@pytest.mark.parametrize(
    ("state", "live", "ready"),
    [
        pytest.param(ServerState.STARTING, 200, 503, id="starting"),
        pytest.param(ServerState.READY, 200, 200, id="ready"),
        pytest.param(ServerState.BUSY, 200, 200, id="busy"),
        pytest.param(ServerState.FAILED, 503, 503, id="failed"),
    ],
)
def test_each_state_has_its_status(state: ServerState, live: int, ready: int):
    health = Health(state, 1, 2, ("a", "b"))

    assert health.liveness() == (live, json.dumps({"state": state.value}).encode())
    status, body = health.readiness()
    assert (status, json.loads(body)) == (
        ready,
        {
            "state": state.value,
            "requests_in_flight": 1,
            "queue_length": 2,
            "init_log": ["a", "b"],
        },
    )


def test_a_failed_start_says_why():
    health = Health(ServerState.FAILED, 0, 0, (), {"type": "ValueError"})

    assert json.loads(health.readiness()[1])["error"] == {"type": "ValueError"}


def test_a_save_that_does_not_load_shows_beside_the_state_it_left():
    health = Health(ServerState.READY, 0, 0, (), reload_error={"type": "SyntaxError"})

    status, body = health.readiness()

    assert (status, json.loads(body)["reload_error"]) == (200, {"type": "SyntaxError"})
