"""Which origins may call, and the headers that say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.cors import CorsPolicy
from inference_server.replies import Headers
from tests.inference_server.support import few

LISTED = r"http://a.example, https://B.example:8443 ,http://.*\.c\.example,d.example,,"


def headers_for(policy: CorsPolicy, method: str = "POST", **environ: str) -> Headers:
    headers: Headers = []
    policy.add_to(headers, {"REQUEST_METHOD": method, **environ})
    return headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        pytest.param("http://a.example", True, id="listed"),
        pytest.param("HTTP://A.EXAMPLE", True, id="in another case"),
        pytest.param("https://b.example:8443", True, id="listed in another case"),
        pytest.param("http://x.c.example", True, id="regular expression"),
        pytest.param("http://x.c.example.evil", False, id="regular expression and more"),
        pytest.param("http://d.example", True, id="entry without a scheme"),
        pytest.param("https://d.example", True, id="the same with another scheme"),
        pytest.param("d.example", True, id="the same without a scheme"),
        pytest.param("https://a.example", False, id="other scheme"),
        pytest.param("http://a.example:80", False, id="other port"),
        pytest.param("http://evil.example", False, id="not listed"),
        pytest.param("http://xd.example", False, id="longer host"),
        pytest.param("null", False, id="null"),
        pytest.param("http://c.example", False, id="regular expression that wants more"),
    ],
)
def test_an_origin_is_allowed_when_an_entry_matches(origin: str, allowed: bool):
    assert CorsPolicy(LISTED).allows(origin) is allowed


def test_the_entries_are_trimmed():
    assert CorsPolicy(LISTED).entries == [
        "http://a.example",
        "https://B.example:8443",
        r"http://.*\.c\.example",
        "d.example",
    ]


@few
@given(st.text())
def test_a_star_allows_every_origin(origin: str):
    assert CorsPolicy("http://a, *").allows(origin)


@few
@given(st.text())
def test_an_empty_list_allows_none(origin: str):
    assert not CorsPolicy(" , ").allows(origin)


@pytest.mark.parametrize("entry", ["*.example.com", "http://(a", "http://[", "+"])
def test_an_entry_that_is_no_regular_expression_is_refused(entry: str):
    with pytest.raises(ValueError, match=r"is read as a regular expression, but is none") as caught:
        CorsPolicy(f"http://a,{entry}")

    assert str(caught.value).startswith(f"`{entry}` ")


def test_an_allowed_origin_is_echoed():
    assert headers_for(CorsPolicy("*"), HTTP_ORIGIN="http://A") == [
        ("Access-Control-Allow-Origin", "http://A"),
        ("Vary", "Origin"),
    ]


@pytest.mark.parametrize("environ", [{}, {"HTTP_ORIGIN": ""}, {"HTTP_ORIGIN": "http://b"}])
def test_without_an_allowed_origin_nothing_is_added(environ: dict[str, str]):
    assert headers_for(CorsPolicy("http://a"), **environ) == []


def test_a_preflight_is_told_what_is_allowed():
    assert headers_for(
        CorsPolicy("*"),
        "OPTIONS",
        HTTP_ORIGIN="http://a",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="post",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type, x-foo",
    ) == [
        ("Access-Control-Allow-Origin", "http://a"),
        ("Access-Control-Allow-Headers", "content-type, x-foo"),
        ("Access-Control-Allow-Methods", "GET, POST"),
        ("Vary", "Origin"),
    ]


def test_a_preflight_without_headers_is_told_the_methods():
    headers = headers_for(
        CorsPolicy("*"),
        "OPTIONS",
        HTTP_ORIGIN="http://a",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET",
    )

    assert [name for name, _ in headers] == [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Methods",
        "Vary",
    ]


@pytest.mark.parametrize("method", ["DELETE", ""])
def test_a_preflight_for_another_method_is_told_no_methods(method: str):
    headers = headers_for(
        CorsPolicy("*"),
        "OPTIONS",
        HTTP_ORIGIN="http://a",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x",
    )

    assert [name for name, _ in headers] == ["Access-Control-Allow-Origin", "Vary"]


def test_a_script_that_allows_origins_itself_has_the_last_word():
    headers = [("access-control-allow-origin", "http://only")]

    CorsPolicy("*").add_to(headers, {"REQUEST_METHOD": "POST", "HTTP_ORIGIN": "http://a"})

    assert headers == [("access-control-allow-origin", "http://only")]
