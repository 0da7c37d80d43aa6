"""The knee, the target, and ties."""

from __future__ import annotations

from inference_server.tuning.choice import choose
from inference_server.tuning.trials import merged
from tests.inference_server.tuning.support import trial


def test_the_smallest_setup_close_to_the_fastest_is_chosen():
    trials = [
        trial(workers=1, per_second=50),
        trial(workers=2, per_second=97),
        trial(workers=4, per_second=100),
    ]

    choice = choose(trials)

    assert choice is not None
    assert choice.trial is trials[1]
    assert choice.reason == "the smallest setting within 5% of the most requests per second"


def test_fewer_clients_win_within_a_setup():
    trials = [trial(clients=4, per_second=100), trial(clients=2, per_second=99)]

    choice = choose(trials)

    assert choice is not None
    assert choice.trial.clients == 2


def test_less_memory_wins_ties():
    trials = [trial(places=4, batch=1, memory_mib=80), trial(batch=4, memory_mib=60)]

    choice = choose(trials)

    assert choice is not None
    assert choice.trial.memory_mib == 60


def test_a_target_comes_before_speed():
    trials = [trial(per_second=100, p99_ms=80), trial(places=2, per_second=60, p99_ms=20)]

    choice = choose(trials, target_p99_ms=50)

    assert choice is not None
    assert choice.trial.load.per_second == 60
    assert choice.reason.endswith("at p99 <= 50 ms")


def test_a_target_that_nothing_keeps_to_is_said():
    trials = [trial(per_second=100, p99_ms=80), trial(places=2, per_second=60, p99_ms=20)]

    choice = choose(trials, target_p99_ms=5)

    assert choice is not None
    assert choice.trial.load.p99_ms == 20
    assert "no setting kept p99 to 5 ms" in choice.reason


def test_failures_are_never_recommended():
    assert choose([trial(failures=3)]) is None
    assert choose([]) is None


def test_repeated_trials_count_by_their_mean():
    (mean,) = merged([trial(per_second=90, memory_mib=40), trial(per_second=110, memory_mib=60)])

    assert (mean.load.per_second, mean.load.answers, mean.memory_mib) == (100, 200, 60)
