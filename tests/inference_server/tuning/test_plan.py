"""Which setups are tried, in which order, and when there are enough."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inference_server.tuning.plan import (
    MAX_PLACES,
    Limits,
    client_counts,
    limits_for,
    next_setup,
    to_repeat,
)
from inference_server.tuning.trials import ServerSetup, Trial
from tests.inference_server.tuning.support import trial


def explored(limits: Limits, speed: Callable[[ServerSetup], float]) -> list[ServerSetup]:
    """Follow the plan to its end on a machine that is as fast as the function says."""
    trials: list[Trial] = []
    while (setup := next_setup(trials, limits)) is not None:
        assert setup in limits
        assert setup not in [done.setup for done in trials]
        trials.append(trial(setup.workers, setup.places, setup.batch, per_second=speed(setup)))
    return [done.setup for done in trials]


def best_of(limits: Limits, speed: Callable[[ServerSetup], float]) -> ServerSetup:
    return max(explored(limits, speed), key=speed)


def test_the_smallest_setup_comes_first():
    assert next_setup([], limits_for(8, batches=False, pinned={})) == ServerSetup(1, 1, 0)
    assert next_setup([], limits_for(8, batches=True, pinned={})) == ServerSetup(1, 1, 1)


def test_a_script_that_waits_gets_threads():
    limits = limits_for(2, batches=False, pinned={})

    tried = explored(limits, lambda s: min(s.places, 8) * 100)

    assert ServerSetup(1, 8) in tried
    assert ServerSetup(1, 32) not in tried


def test_a_script_that_computes_gets_workers_up_to_the_processors():
    limits = limits_for(6, batches=False, pinned={})

    assert best_of(limits, lambda s: s.workers * 100 / s.places) == ServerSetup(6, 1)


def test_between_the_doubled_values_the_best_is_looked_for():
    limits = limits_for(8, batches=False, pinned={})

    tried = explored(limits, lambda s: 100 - abs(s.workers - 3) * 10 - s.places)

    assert ServerSetup(3, 1) in tried


def test_batch_sizes_are_tried_where_the_script_batches():
    limits = limits_for(1, batches=True, pinned={})

    assert best_of(limits, lambda s: min(s.batch, 16) * 10 - s.places).batch >= 16
    assert all(
        setup.batch == 0
        for setup in explored(limits_for(1, batches=False, pinned={}), lambda s: 1.0)
    )


def test_what_the_user_has_set_is_not_swept():
    limits = limits_for(8, batches=False, pinned={"workers": 3, "places": 2})

    assert explored(limits, lambda s: s.workers) == [ServerSetup(3, 2)]


def test_a_setup_under_which_requests_fail_leads_nowhere():
    limits = limits_for(1, batches=False, pinned={})
    trials = [trial(places=1, per_second=10), trial(places=2, per_second=1000, failures=1)]

    assert next_setup(trials, limits) is None


@pytest.mark.parametrize(
    ("worker_mib", "free_mib", "workers"),
    [
        pytest.param(1000, 4000, 3, id="memory is short"),
        pytest.param(1000, 500, 1, id="at least one"),
        pytest.param(10, 4000, 8, id="processors are short"),
        pytest.param(None, None, 8, id="memory is unknown"),
    ],
)
def test_workers_are_limited_by_processors_and_memory(worker_mib, free_mib, workers):
    limits = limits_for(8, batches=False, pinned={}, worker_mib=worker_mib, free_mib=free_mib)

    assert limits.largest == ServerSetup(workers, MAX_PLACES, 0)


@pytest.mark.parametrize(
    ("setup", "counts"),
    [
        pytest.param(ServerSetup(), [1, 2], id="one at a time"),
        pytest.param(ServerSetup(2, 4), [1, 8, 16], id="several"),
        pytest.param(ServerSetup(4, 32), [1, 64], id="never more than 64"),
        pytest.param(ServerSetup(1, 1, 8), [1, 8, 16], id="batches need clients"),
    ],
)
def test_clients_fit_the_setup(setup, counts):
    assert client_counts(setup) == counts


def test_the_fastest_setups_are_repeated():
    trials = [trial(workers=n, per_second=n * 10) for n in range(1, 6)]

    assert [setup.workers for setup in to_repeat(trials)] == [5, 4, 3]
