"""Several requests in one call of `run()`: who shares it, and who does not share its failures."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.behaviour.support import (
    lines_of,
    metric,
    queue_length,
    read_metrics,
    wait_for_queue,
)
from tests.conftest import StartServer
from tests.responses import Response
from tests.servers import SCORING_SCRIPTS, ServerProcess, poll

THREADS = {"GUNICORN_CMD_ARGS": "--worker-class gthread --threads 32"}
SCRIPT = SCORING_SCRIPTS / "batches.py"


@pytest.fixture(params=["event loop", "gthread"])
def server(request: pytest.FixtureRequest, start_server: StartServer) -> ServerProcess:
    """A batching server on each HTTP engine."""
    return start_server("batches.py", environ=THREADS if request.param == "gthread" else {})


@contextmanager
def held_back(server: ServerProcess, body: str = '{"do": "wait"}') -> Iterator[None]:
    """Keep `run()` busy with one request, which gets its answer when the block ends."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.score, body)
        poll(lambda: server.get("/readyz").json()["state"] == "BUSY", timeout=10)
        yield
        (server.cwd / "release").touch()
        assert first.result(20).status == 200


def in_one_batch(
    server: ServerProcess,
    bodies: Sequence[str],
    first: str = '{"do": "wait"}',
    names: Sequence[str] = (),
) -> list[Response]:
    """Send requests while `run()` is busy, in order, so that they wait for the next call."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        with held_back(server, first):
            answers = []
            for number, body in enumerate(bodies):
                headers = {"x-name": names[number], "x-request-id": names[number]} if names else {}
                answers.append(pool.submit(server.score, body, headers))
                wait_for_queue(server, number + 1)
        return [answer.result(20) for answer in answers]


def asking(*wishes: str) -> list[str]:
    """Bodies for `batches.py`: numbered requests with these wishes."""
    return [json.dumps({"n": n, "do": do}) for n, do in enumerate(wishes, 1)]


def test_waiting_requests_share_a_call(server: ServerProcess) -> None:
    answers = in_one_batch(server, asking(*["answer"] * 5))

    assert [answer.status for answer in answers] == [200] * 5
    assert [answer.json() for answer in answers] == [10, 20, 30, 40, 50]
    assert lines_of(server.cwd / "calls") == [
        "wait:0",
        "answer:1 answer:2 answer:3 answer:4 answer:5",
    ]
    times = {answer.headers["x-ms-run-fn-exec-ms"] for answer in answers}
    assert len(times) == 1


def test_one_bad_input_fails_its_own_request_only(server: ServerProcess) -> None:
    answers = in_one_batch(server, asking("answer", "raise", "answer"), names=["a", "b", "c"])

    assert [answer.status for answer in answers] == [200, 500, 200]
    error = answers[1].json()["error"]
    assert (error["type"], error["message"]) == ("Bad", "bad input")
    assert error["source"] == 'raise Bad("bad input")'
    assert lines_of(server.cwd / "calls")[1:] == [
        "answer:1 raise:2 answer:3",
        "answer:1",
        "raise:2",
        "answer:3",
    ]
    assert len(server.log_lines(r"run\(\) failed on a batch of 3 requests")) == 1
    (logged,) = server.log_lines("Encountered Exception")
    assert "Bad: bad input" in logged
    assert logged.endswith("[b]")


def test_an_exception_among_the_answers_is_that_requests_failure(server: ServerProcess) -> None:
    answers = in_one_batch(server, asking("answer", "be an exception", "answer"))

    assert [answer.status for answer in answers] == [200, 500, 200]
    error = answers[1].json()["error"]
    assert (error["type"], error["message"]) == ("Bad", "number 2 is bad")
    assert error["file"].endswith("batches.py")
    assert len(lines_of(server.cwd / "calls")) == 2


def test_answers_are_encoded_each_for_itself(start_server: StartServer) -> None:
    server = start_server("batches.py")
    wishes = ["answer", "respond", "be unencodable", "stream", "answer"]

    answers = in_one_batch(server, asking(*wishes))

    assert [answer.status for answer in answers] == [200, 201, 500, 500, 200]
    assert answers[1].json() == {"n": 2}
    assert answers[1].headers["x-mine"] == "2"
    assert "cannot be a stream" in answers[3].json()["error"]["message"]
    assert len(lines_of(server.cwd / "calls")) == 2


def test_an_array_is_split_along_its_first_axis(start_server: StartServer) -> None:
    answers = in_one_batch(start_server("batches.py"), asking("be an array", "answer"))

    assert [answer.json() for answer in answers] == [10, 20]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("one too few", "run() received a batch of 3 and returned 2 answers"),
        (
            "be a dict",
            "run() received a batch of 3 and returned an object of type `dict`, not a list of 3",
        ),
    ],
)
def test_a_misfit_answer_is_named(start_server: StartServer, wish: str, message: str) -> None:
    answers = in_one_batch(start_server("batches.py"), asking("answer", wish, "answer"))

    line = SCRIPT.read_text().splitlines().index("@batch(max_size=8, max_wait_ms=20)") + 1
    assert [answer.status for answer in answers] == [500] * 3
    for answer in answers:
        error = answer.json()["error"]
        assert (error["type"], error["message"]) == ("BatchError", message)
        assert (error["line"], error["function"]) == (line, "run")
        assert error["file"].endswith("batches.py")
        assert "returns a list" in error["hint"]


def test_an_input_that_does_not_fit_its_hint_never_reaches_run(server: ServerProcess) -> None:
    answers = in_one_batch(server, ['{"n": 1}', '{"n": "one"}', "{", '{"n": 3}'])

    assert [answer.status for answer in answers] == [200, 422, 400, 200]
    assert answers[1].json()["error"]["path"] == "$.n"
    assert lines_of(server.cwd / "calls")[1:] == ["answer:1 answer:3"]


def test_the_openapi_document_describes_one_request(start_server: StartServer) -> None:
    document = start_server("batches.py").get("/swagger.json?version=3").json()

    schemas = document["components"]["schemas"]
    assert "array" not in json.dumps(schemas["ServiceInput"])
    assert schemas["Request"]["properties"].keys() == {"n", "do"}


def test_the_request_of_flask_is_refused_with_a_reason(start_server: StartServer) -> None:
    server = start_server("batches.py")

    response = server.score(asking("use flask.request")[0])

    error = response.json()["error"]
    assert (response.status, error["type"]) == (500, "NoSingleRequestError")
    assert "called with batches" in error["message"]
    assert "flask.method" not in error["message"]
    assert error["source"] == "return [request.method for _ in data]"
    assert server.score(asking("use flask.g")[0]).json() == [1, True]


def test_log_lines_of_a_batch_belong_to_no_single_request(start_server: StartServer) -> None:
    server = start_server("batches.py")

    in_one_batch(server, asking("print", "answer"), names=["a", "b"])
    server.score(asking("print")[0], {"x-request-id": "alone"})

    together, alone = server.log_lines("printed by run")
    assert not together.endswith("]")
    assert alone.endswith("[alone]")
    assert server.log_lines(r"POST /score 200 .*\[a\]$")


def test_an_option_is_enough(start_server: StartServer) -> None:
    server = start_server("takes_lists.py", "--batch_max_size", "3")
    names = ["a", "b", "c", "d"]

    answers = in_one_batch(server, ["1", "2", "3", "4"], first="wait", names=names)

    assert [answer.json() for answer in answers] == [
        [3, "1", "a"],
        [3, "2", "b"],
        [3, "3", "c"],
        [1, "4", "d"],
    ]


def test_the_option_comes_before_the_decorator(start_server: StartServer) -> None:
    server = start_server("batches.py", environ={"AZML_BATCH_MAX_SIZE": "1"})

    answers = in_one_batch(server, asking("answer", "answer"))

    assert [answer.json() for answer in answers] == [10, 20]
    assert lines_of(server.cwd / "calls") == ["wait:0", "answer:1", "answer:2"]


def test_each_parameter_gets_a_list(start_server: StartServer) -> None:
    server = start_server("batches_two_parameters.py")

    answers = in_one_batch(
        server, ['{"number": 1, "weight": 2}', '{"number": 2}'], first='{"number": 0}'
    )

    assert [answer.json() for answer in answers] == [
        {"number": 1, "weight": 2.0, "size": 2},
        {"number": 2, "weight": 1.5, "size": 2},
    ]
    schemas = server.get("/swagger.json?version=3").json()["components"]["schemas"]
    assert schemas["ServiceOutput"]["type"] == "object"


def test_a_schema_holds_for_each_request(start_server: StartServer) -> None:
    server = start_server("batches_schema.py")
    bodies = [json.dumps({"data": data}) for data in ([[1, 2]], "text", [[3, 4], [5, 6]])]

    answers = in_one_batch(server, bodies, first='{"data": [[0, 0]]}')

    assert [answer.status for answer in answers] == [200, 422, 200]
    assert [answers[0].json()[1:], answers[2].json()[1:]] == [["ndarray", 3.0], ["ndarray", 18.0]]

    (server.cwd / "release").unlink()
    together = in_one_batch(server, bodies[::2], first='{"data": [[0, 0]]}')
    assert [answer.json()[0] for answer in together] == [2, 2]


# Coroutines


@pytest.mark.parametrize("environ", [{}, THREADS], ids=["event loop", "gthread"])
def test_an_asynchronous_run_takes_batches(
    start_server: StartServer, environ: dict[str, str]
) -> None:
    server = start_server("batches_async.py", environ=environ)
    bodies = [json.dumps({"id": n}) for n in range(4)]

    answers = in_one_batch(server, bodies, first='{"wait": 1}')

    assert [answer.json()["id"] for answer in answers] == [0, 1, 2, 3]
    assert {(answer.json()["size"], answer.json()["most"]) for answer in answers} == {(4, 1)}


def test_batches_of_an_asynchronous_run_overlap_when_asked_for(start_server: StartServer) -> None:
    server = start_server("batches_async.py", "--max_concurrent_requests", "2")

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(server.score, ['{"sleep": 0.1}'] * 12))

    assert {answer.status for answer in answers} == {200}
    assert {answer.json()["most"] for answer in answers} >= {2}
    assert max(answer.json()["most"] for answer in answers) == 2


def test_one_bad_input_fails_alone_on_the_event_loop_too(start_server: StartServer) -> None:
    server = start_server("batches_async.py")

    answers = in_one_batch(server, ["{}", '{"fail": 1}', "{}"], first='{"wait": 1}')

    assert [answer.status for answer in answers] == [200, 500, 200]
    assert "ValueError" in answers[1].text


# Deadlines, the queue


@pytest.mark.parametrize(
    ("script", "first", "bodies"),
    [
        ("batches.py", '{"do": "wait"}', asking("answer", "sleep", "answer")),
        ("batches_async.py", '{"wait": 1}', ["{}", '{"sleep": 30}', "{}"]),
    ],
)
def test_a_deadline_holds_for_each_request_of_a_batch(
    start_server: StartServer, script: str, first: str, bodies: list[str]
) -> None:
    server = start_server(script, "--scoring_timeout_ms", "3000")
    (worker,) = server.worker_pids()

    answers = in_one_batch(server, bodies, first=first)

    assert [answer.status for answer in answers] == [504] * 3
    for answer in answers:
        assert "sleep(" in answer.json()["error"]["source"]
    assert metric(server, "azml_rejected_requests_total", reason="deadline") == 3
    assert poll(lambda: server.score("{}").status == 200, timeout=10)
    assert server.worker_pids() == [worker]
    assert server.log_lines("internal error|Traceback|tried again") == []


def test_a_deadline_ends_the_attempts_one_by_one(start_server: StartServer) -> None:
    """`fails` makes the batch fail; alone, the second request takes too long."""
    server = start_server("batches.py", "--scoring_timeout_ms", "3000")

    answers = in_one_batch(server, asking("answer", "raise", "sleep", "answer"))

    assert [answer.status for answer in answers] == [200, 500, 504, 504]
    assert lines_of(server.cwd / "calls")[-1] == "sleep:3"
    assert poll(lambda: server.score("{}").status == 200, timeout=10)


def test_the_queue_is_bounded_while_a_batch_runs(start_server: StartServer) -> None:
    server = start_server("batches.py", "--max_queue", "2")

    with ThreadPoolExecutor(4) as pool, held_back(server):
        waiting = [pool.submit(server.score, body) for body in asking("answer", "answer")]
        wait_for_queue(server, 2)
        assert server.score("{}").status == 429
        (server.cwd / "release").touch()
        assert [answer.result(20).status for answer in waiting] == [200, 200]


def test_a_client_that_leaves_is_left_out_of_its_batch(start_server: StartServer) -> None:
    server = start_server("batches.py")

    with ThreadPoolExecutor(1) as pool, held_back(server):
        leaving = server.connect()
        body = asking("answer")[0]
        leaving.sendall(
            f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        wait_for_queue(server, 1)
        leaving.close()
        wait_for_queue(server, 0)
        staying = pool.submit(server.score, '{"n": 2}')
        wait_for_queue(server, 1)
        (server.cwd / "release").touch()
        assert staying.result(20).json() == 20

    assert lines_of(server.cwd / "calls") == ["wait:0", "answer:2"]


def test_sigterm_answers_what_waits_for_its_batch(start_server: StartServer) -> None:
    server = start_server("batches.py")

    with ThreadPoolExecutor(3) as pool, held_back(server):
        waiting = [pool.submit(server.score, body) for body in asking(*["answer"] * 3)]
        wait_for_queue(server, 3)
        server.signal(signal.SIGTERM)
        (server.cwd / "release").touch()
        assert [answer.result(20).json() for answer in waiting] == [10, 20, 30]

    assert server.wait_exit(timeout=10) == 0


# Numbers


def test_batches_are_counted_by_size(server: ServerProcess) -> None:
    in_one_batch(server, asking(*["answer"] * 5))

    samples = read_metrics(server)
    assert samples[("azml_batch_size_count", ())] == 2
    assert samples[("azml_batch_size_sum", ())] == 6
    counts = [samples[("azml_batch_size_bucket", (("le", le),))] for le in ("1.0", "4.0", "8.0")]
    assert counts == [1, 1, 2]
    assert samples[("azml_run_duration_seconds_count", ())] == 6
    assert samples[("azml_queue_duration_seconds_count", ())] == 6


def test_a_lone_client_is_served_alone_and_at_once(start_server: StartServer) -> None:
    """What it waits in the queue is next to nothing beside what it may be held back."""
    server = start_server("batches_on_device.py", environ={"AZML_BATCH_MAX_WAIT_MS": "60000"})

    answers = [server.score('{"data": [[1, 2]]}') for _ in range(20)]

    assert {answer.status for answer in answers} == {200}
    samples = read_metrics(server)
    assert samples[("azml_batch_size_count", ())] == samples[("azml_batch_size_sum", ())] == 20
    assert samples[("azml_queue_duration_seconds_bucket", (("le", "5.0"),))] == 20


def test_a_crowd_is_served_in_batches(start_server: StartServer) -> None:
    server = start_server("batches_on_device.py")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.score, ['{"data": [[1, 2]]}'] * 400))

    assert {answer.json() for answer in answers} == {3.0}
    samples = read_metrics(server)
    assert samples[("azml_batch_size_sum", ())] == 400
    assert samples[("azml_batch_size_count", ())] < 200


def test_several_workers_each_have_their_batches(start_server: StartServer) -> None:
    server = start_server("batches_on_device.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.score, ['{"data": [[1, 2]]}'] * 200))

    assert {answer.json() for answer in answers} == {3.0}
    assert metric(server, "azml_batch_size_sum") == 200
    assert queue_length(server) == 0


def test_without_batching_nothing_is_counted_as_one(start_server: StartServer) -> None:
    server = start_server("returns_input.py")

    server.score("x")

    assert metric(server, "azml_batch_size_count") == 0


# What cannot be batched


@pytest.mark.parametrize(
    ("script", "line", "message", "hint"),
    [
        ("batches_raw.py", 11, "@rawhttp hands it a single HTTP request", "remove @batch"),
        (
            "batches_generator.py",
            10,
            r"it streams its answer \(it has a `yield`\)",
            "remove @batch",
        ),
        (
            "batches_wrong_hint.py",
            10,
            "its parameter `data` is a list with an item for each request, but its type hint is "
            "`dict`",
            r"write `data: list\[dict\]`",
        ),
    ],
)
def test_what_cannot_be_batched_ends_the_start(
    start_server: StartServer, script: str, line: int, message: str, hint: str
) -> None:
    server = start_server(script, ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines(message)
    assert server.log_lines(rf"^  \S*{re.escape(script)}:{line}$")
    assert server.log_lines(f"hint: {hint}")


def test_a_script_that_streams_cannot_be_batched_by_an_option(start_server: StartServer) -> None:
    server = start_server("run_is_generator.py", "--batch_max_size", "4", ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines("hint: leave --batch_max_size")


def test_a_bad_argument_of_the_decorator_ends_the_start(start_server: StartServer) -> None:
    server = start_server("batches_wrong_size.py", ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines("max_size must be from 1 to 4096, not 0")
    assert server.log_lines(r"batches_wrong_size\.py:10")
