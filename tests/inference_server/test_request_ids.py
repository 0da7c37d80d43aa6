"""Ids and trace context of a request."""

from __future__ import annotations

import logging
import re
import uuid

import pytest

from inference_server.replies import Headers
from inference_server.request_context import RequestLabels
from inference_server.request_ids import MAX_LENGTH, IdTooLongError, RequestIds, read_ids

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("request_id", "legacy", "client", "expected"),
    [
        pytest.param(None, None, None, ("new", "new", None), id="none"),
        pytest.param("A", None, None, ("A", "A", None), id="request id"),
        pytest.param(None, "B", None, ("new", "B", "B"), id="legacy id"),
        pytest.param(None, None, "C", ("new", "C", "C"), id="client id"),
        pytest.param("A", "B", None, ("A", "B", "B"), id="request and legacy id"),
        pytest.param(None, "B", "C", ("new", "B", "C"), id="legacy and client id"),
        pytest.param("A", None, "C", ("A", "C", "C"), id="request and client id"),
        pytest.param("A", "B", "C", ("A", "B", "C"), id="all"),
        pytest.param("", None, None, ("new", "new", None), id="empty request id"),
    ],
)
def test_missing_ids_are_filled_in(
    request_id: str | None,
    legacy: str | None,
    client: str | None,
    expected: tuple[str | None, ...],
):
    given = {
        "HTTP_X_REQUEST_ID": request_id,
        "HTTP_X_MS_REQUEST_ID": legacy,
        "HTTP_X_MS_CLIENT_REQUEST_ID": client,
    }

    ids = read_ids({name: value for name, value in given.items() if value is not None})

    made_up = {"new": ids.request_id}
    assert (ids.request_id, ids.legacy, ids.client) == tuple(
        made_up.get(e, e) if e else e for e in expected
    )


def test_a_new_id_is_a_random_uuid():
    found = {read_ids({}).request_id for _ in range(50)}

    assert len(found) == 50
    assert {(uuid.UUID(value).version, uuid.UUID(value).variant) for value in found} == {
        (4, uuid.RFC_4122)
    }
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", v) for v in found)


def test_an_id_of_just_the_allowed_length_is_kept():
    assert read_ids({"HTTP_X_REQUEST_ID": "x" * MAX_LENGTH}).request_id == "x" * MAX_LENGTH


def test_a_request_id_that_is_too_long_is_refused():
    with pytest.raises(IdTooLongError) as caught:
        read_ids({"HTTP_X_REQUEST_ID": "x" * (MAX_LENGTH + 1)})

    error = caught.value
    assert (error.status, error.message, error.ids) == (
        431,
        "x-request-id must not exceed 100 characters",
        None,
    )


@pytest.mark.parametrize("name", ["HTTP_X_MS_REQUEST_ID", "HTTP_X_MS_CLIENT_REQUEST_ID"])
def test_another_id_that_is_too_long_is_refused_under_the_request_id(name: str):
    with pytest.raises(IdTooLongError) as caught:
        read_ids({"HTTP_X_REQUEST_ID": "A", name: "x" * 101})

    error = caught.value
    assert (error.status, error.message, error.ids) == (
        431,
        "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters",
        RequestIds("A"),
    )


def test_the_legacy_id_is_deprecated(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        read_ids({"HTTP_X_MS_REQUEST_ID": "B"})

    assert caplog.messages == [
        "x-ms-request-id header has been deprecated and will be removed from future versions of "
        "the server. Please use x-ms-client-request-id."
    ]


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        pytest.param(PARENT, TRACE, id="sampled"),
        pytest.param(f"01-{TRACE}-00f067aa0ba902b7-00-more", TRACE, id="later version"),
        pytest.param(f"ff-{TRACE}-00f067aa0ba902b7-01", None, id="forbidden version"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", None, id="no trace id"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="no parent id"),
        pytest.param(PARENT.upper(), None, id="upper case"),
        pytest.param("nonsense", None, id="nonsense"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_sound_trace_context_is_carried(header: str, trace_id: str | None):
    ids = read_ids({"HTTP_TRACEPARENT": header})

    assert (ids.trace_id, ids.traceparent) == (trace_id, header if trace_id else None)
    assert ids.labels == RequestLabels(ids.request_id, trace_id)


def test_the_ids_are_added_to_an_answer():
    headers: Headers = [("X-Request-Id", "own"), ("X-Own", "1")]

    RequestIds("A", "B", "C", TRACE, PARENT, "T").add_to(headers, replace=True)

    assert headers == [
        ("X-Own", "1"),
        ("x-request-id", "A"),
        ("x-ms-request-id", "B"),
        ("x-ms-client-request-id", "C"),
        ("traceparent", PARENT),
        ("TraceId", "T"),
    ]


def test_ids_that_are_not_there_are_not_added():
    headers: Headers = [("x-request-id", "ours")]

    RequestIds("A", "", None).add_to(headers, replace=False)

    assert headers == [("x-request-id", "ours"), ("x-request-id", "A")]


def test_the_trace_of_old_clients_is_echoed():
    assert read_ids({"HTTP_TRACEID": "T"}).echoed_trace == "T"
