"""The thread that brought a request, and what it is handed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from inference_server.replies import Reply, json_reply
from inference_server.transaction import ClientGoneError
from inference_server.wsgi import WaitingExchange


def relayed(exchange: WaitingExchange, method: str = "POST") -> tuple[list[Any], list[bytes]]:
    started: list[Any] = []
    body = exchange.relay(lambda status, headers: started.append((status, headers)), method)
    return started, list(body)


def test_an_answer_from_another_thread_is_relayed():
    exchange = WaitingExchange()
    threading.Thread(target=exchange.send, args=(json_reply(b"1"),)).start()

    started, body = relayed(exchange)

    assert started[0][0] == "200 OK"
    assert body == [b"1"]


def test_head_gets_no_body():
    exchange = WaitingExchange()
    exchange.send(json_reply(b"1"))

    assert relayed(exchange, "HEAD")[1] == []


def test_work_is_done_on_the_thread_that_waits():
    exchange = WaitingExchange()
    seen: list[int] = []

    def work() -> None:
        seen.append(threading.get_ident())
        exchange.send(json_reply(b"1"))

    exchange.take_over(work)

    assert relayed(exchange)[1] == [b"1"]
    assert seen == [threading.get_ident()]


def test_work_that_gave_no_answer_may_be_handed_over_again():
    exchange = WaitingExchange()

    def held_back() -> None:
        threading.Thread(
            target=exchange.take_over, args=(lambda: exchange.send(json_reply(b"2")),)
        ).start()

    exchange.take_over(held_back)

    assert relayed(exchange)[1] == [b"2"]


def test_a_stream_is_relayed_chunk_by_chunk():
    exchange = WaitingExchange()
    exchange.start(Reply("200 OK", []))

    def produce() -> None:
        exchange.write(b"a")
        exchange.write(b"b")
        exchange.finish(complete=True)

    threading.Thread(target=produce).start()

    assert relayed(exchange)[1] == [b"a", b"b"]


def test_a_broken_stream_raises_at_its_end():
    exchange = WaitingExchange()
    exchange.start(Reply("200 OK", []))
    exchange.write(b"a")
    exchange.finish(complete=False)
    chunks = iter(exchange.relay(lambda status, headers: None, "POST"))

    assert next(chunks) == b"a"
    with pytest.raises(ClientGoneError):
        next(chunks)


def test_a_stream_that_the_engine_closed_takes_no_more():
    exchange = WaitingExchange()
    exchange.start(Reply("200 OK", []))
    stream: Any = exchange.relay(lambda status, headers: None, "POST")
    stream.close()

    with pytest.raises(ClientGoneError):
        exchange.write(b"a")
