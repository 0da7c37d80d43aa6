"""The documents at `/swagger.json`: as the reference writes them, or as the user does."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.schema_util import get_input_schema, get_output_schema, get_supported_versions

from inference_server.errors import RequestError, StartError
from inference_server.openapi import (
    OPENAPI_VERSIONS,
    UNDESCRIBED_PAYLOAD,
    OpenApiDocuments,
    OpenApiFileError,
    OpenApiVersionError,
    PayloadSchemas,
    ServiceDescription,
    build_openapi_documents,
    supported_versions,
)

SERVICE = ServiceDescription(name="ML service", version="1.0", path_prefix="")
NUMBERS = PayloadSchemas(
    input={
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"type": "number", "format": "double"}}},
        "example": {"data": [1.5]},
    },
    output={"type": "integer", "format": "int64", "example": 1},
)


def build(
    folder: Path,
    schemas: PayloadSchemas = UNDESCRIBED_PAYLOAD,
    service: ServiceDescription = SERVICE,
) -> OpenApiDocuments:
    return build_openapi_documents(service, schemas, folder)


def swagger_2(title: str, version: str, takes: Any, returns: Any) -> dict[str, Any]:
    failed = {
        "description": "The service failed to execute due to an error.",
        "schema": {"$ref": "#/definitions/ErrorResponse"},
    }
    return {
        "swagger": "2.0",
        "info": {
            "title": title,
            "description": f"API specification for the Azure Machine Learning service {title}",
            "version": version,
        },
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "Bearer": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": "For example: Bearer abc123",
            }
        },
        "paths": {
            "/": {
                "get": {
                    "operationId": "ServiceHealthCheck",
                    "description": "Simple health check endpoint to ensure the service is up at "
                    "any given point.",
                    "responses": {
                        "200": {
                            "description": "If service is up and running, this response will be "
                            "returned with the content 'Healthy'",
                            "schema": {"type": "string"},
                            "examples": {"application/json": "Healthy"},
                        },
                        "default": failed,
                    },
                }
            },
            "/score": {
                "post": {
                    "operationId": "RunMLService",
                    "description": "Run web service's model and get the prediction output",
                    "security": [{"Bearer": []}],
                    "parameters": [
                        {
                            "name": "serviceInputPayload",
                            "in": "body",
                            "description": "The input payload for executing the real-time machine "
                            "learning service.",
                            "schema": {"$ref": "#/definitions/ServiceInput"},
                        }
                    ],
                    "responses": {
                        "200": {
                            "description": "The service processed the input correctly and provided "
                            "a result prediction, if applicable.",
                            "schema": {"$ref": "#/definitions/ServiceOutput"},
                        },
                        "default": failed,
                    },
                }
            },
            "/swagger.json": {
                "get": {
                    "operationId": "GetSwaggerSpec",
                    "description": "Get the Swagger specification.",
                    "parameters": [
                        {
                            "name": "version",
                            "in": "query",
                            "required": False,
                            "type": "integer",
                            "enum": [2, 3],
                        }
                    ],
                    "responses": {
                        "200": {
                            "description": "The Swagger specification.",
                            "schema": {"type": "string"},
                        },
                        "default": failed,
                    },
                }
            },
        },
        "definitions": {
            "ServiceInput": takes,
            "ServiceOutput": returns,
            "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}},
        },
    }


def openapi_3(
    specification: str, title: str, version: str, takes: Any, returns: Any
) -> dict[str, Any]:
    def json_content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    failed = {
        "description": "The service failed to execute due to an error.",
        "content": json_content("ErrorResponse"),
    }
    return {
        "openapi": specification,
        "info": {
            "title": title,
            "description": f"API specification for the Azure Machine Learning service {title}",
            "version": version,
        },
        "security": [{"Bearer": []}],
        "paths": {
            "/": {
                "get": {
                    "operationId": "ServiceHealthCheck",
                    "description": "Simple health check endpoint to ensure the service is up at "
                    "any given point.",
                    "responses": {
                        "200": {
                            "description": "If service is up and running, this response will be "
                            "returned with the content 'Healthy'",
                            "content": {
                                "text/plain": {"schema": {"type": "string", "example": "Healthy"}}
                            },
                        },
                        "default": failed,
                    },
                }
            },
            "/score": {
                "post": {
                    "operationId": "RunMLService",
                    "description": "Run web service's model and get the prediction output",
                    "security": [{"Bearer": []}],
                    "requestBody": {
                        "description": "The input payload for executing the real-time machine "
                        "learning service.",
                        "content": json_content("ServiceInput"),
                    },
                    "responses": {
                        "200": {
                            "description": "The service processed the input correctly and provided "
                            "a result prediction, if applicable.",
                            "content": json_content("ServiceOutput"),
                        },
                        "default": failed,
                    },
                }
            },
            "/swagger.json": {
                "get": {
                    "operationId": "GetSwaggerSpec",
                    "description": "Get the Swagger specification.",
                    "parameters": [
                        {
                            "name": "version",
                            "in": "query",
                            "required": False,
                            "schema": {"type": "integer", "enum": [2, 3]},
                        }
                    ],
                    "responses": {
                        "200": {
                            "description": "The Swagger specification.",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        },
                        "default": failed,
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "ServiceInput": takes,
                "ServiceOutput": returns,
                "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}},
            },
            "securitySchemes": {
                "Bearer": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "For example: Bearer abc123",
                }
            },
        },
    }


@pytest.mark.parametrize(
    ("schemas", "takes", "returns"),
    [
        pytest.param(
            UNDESCRIBED_PAYLOAD,
            {"type": "object", "example": {}},
            {"type": "object", "example": {}},
            id="undescribed",
        ),
        pytest.param(NUMBERS, NUMBERS.input, NUMBERS.output, id="described"),
    ],
)
def test_the_documents_are_those_of_the_reference(
    tmp_path: Path, schemas: PayloadSchemas, takes: Any, returns: Any
) -> None:
    service = ServiceDescription("Iris ☃", "2.5", "")
    about = ("Iris ☃", "2.5", takes, returns)

    documents = build(tmp_path, schemas, service)

    assert documents.versions == ("2", "3", "3.1")
    assert documents.get("2") == json.dumps(swagger_2(*about)).encode()
    assert documents.get("3") == json.dumps(openapi_3("3.0.3", *about)).encode()
    assert documents.get("3.1") == json.dumps(openapi_3("3.1.0", *about)).encode()


@pytest.mark.parametrize(
    ("prefix", "before_routes"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("/", "", id="only a slash"),
        pytest.param("test", "/test", id="bare"),
        pytest.param("/a/b/", "/a/b", id="in slashes"),
        pytest.param("a//b", "/a//b", id="slashes inside"),
        pytest.param(" a ", "/ a ", id="spaces"),
    ],
)
def test_the_path_prefix_stands_before_every_route(
    tmp_path: Path, prefix: str, before_routes: str
) -> None:
    documents = build(tmp_path, service=ServiceDescription("ML service", "1.0", prefix))

    for version in OPENAPI_VERSIONS:
        paths = list(json.loads(documents.get(version))["paths"])
        assert paths == [
            f"{before_routes}/",
            f"{before_routes}/score",
            f"{before_routes}/swagger.json",
        ]


@given(name=st.text(), version=st.text(), prefix=st.text())
def test_any_name_version_and_prefix_round_trip(name: str, version: str, prefix: str) -> None:
    service = ServiceDescription(name, version, prefix)

    documents = build(Path("/nonexistent"), service=service)

    for known in OPENAPI_VERSIONS:
        document = json.loads(documents.get(known))
        assert document["info"]["title"] == name
        assert document["info"]["description"].endswith(f" service {name}")
        assert document["info"]["version"] == version
        assert len(document["paths"]) == 3


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        pytest.param(None, "2", id="none asked for"),
        pytest.param("2.0", "2", id="2.0"),
        pytest.param("3.0", "3", id="3.0"),
    ],
)
def test_a_version_has_the_reference_s_other_names(
    tmp_path: Path, asked: str | None, served: str
) -> None:
    documents = build(tmp_path)

    assert documents.get(asked) == documents.get(served)


@pytest.mark.parametrize("version", ["9", "", "3.0a", "3.1.0", "2 "])
def test_an_unknown_version_is_not_valid(tmp_path: Path, version: str) -> None:
    with pytest.raises(OpenApiVersionError) as raised:
        build(tmp_path).get(version)

    expected = f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1]."
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("asked", "named"), [(None, "2"), ("2", "2"), ("2.0", "2.0")], ids=["none", "2", "2.0"]
)
def test_a_version_the_script_cannot_be_described_in_is_not_supported(
    tmp_path: Path, asked: str | None, named: str
) -> None:
    documents = build(tmp_path, PayloadSchemas({}, {}, versions=("3", "3.1")))

    with pytest.raises(OpenApiVersionError) as raised:
        documents.get(asked)

    assert str(raised.value) == (
        f"Swagger version [{named}] is not supported for the scoring script. "
        "Supported swagger versions: [3, 3.1]."
    )


def test_an_unknown_version_is_told_only_what_the_script_has(tmp_path: Path) -> None:
    documents = build(tmp_path, PayloadSchemas({}, {}, versions=()))

    with pytest.raises(OpenApiVersionError) as raised:
        documents.get("9")

    assert str(raised.value) == "Swagger version [9] is not valid. Supported versions: []."


def test_a_version_error_is_answered_with_404(tmp_path: Path) -> None:
    with pytest.raises(OpenApiVersionError) as raised:
        build(tmp_path).get("9")

    assert isinstance(raised.value, RequestError)
    assert raised.value.status is HTTPStatus.NOT_FOUND


def test_inference_schema_s_names_of_versions_are_understood(tmp_path: Path) -> None:
    documents = build(tmp_path, PayloadSchemas({}, {}, versions=("2.0", "3.0", "9.9")))

    assert documents.versions == ("2", "3")


@pytest.mark.parametrize(
    ("versions", "line"),
    [
        pytest.param(
            ("2", "3", "3.1"),
            "Swaggers are prepared for the following versions: [2, 3, 3.1].",
            id="all",
        ),
        pytest.param(
            ("3.1", "3"),
            "Swaggers are prepared for versions [3, 3.1] and skipped for versions [2].",
            id="some",
        ),
        pytest.param((), "No swagger is prepared.", id="none"),
    ],
)
def test_the_log_says_which_versions_there_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, versions: tuple[str, ...], line: str
) -> None:
    with caplog.at_level(logging.INFO, logger="azmlinfsrv.swagger"):
        build(tmp_path, PayloadSchemas({}, {}, versions=versions))

    assert caplog.record_tuples == [("azmlinfsrv.swagger", logging.INFO, line)]


@pytest.mark.parametrize(
    ("files", "version", "served"),
    [
        pytest.param({"swagger.json": '{"b":  1, "a": "é"}'}, "2", {"b": 1, "a": "é"}, id="2"),
        pytest.param({"swagger2.json": '{"a": 1}'}, "2", {"a": 1}, id="2 by its other name"),
        pytest.param({"swagger3.json": '"text"'}, "3", "text", id="3, not an object"),
        pytest.param({"swagger3.1.json": "[1, 2.50]"}, "3.1", [1, 2.5], id="3.1"),
        pytest.param(
            {"swagger.json": '{"one": 1}', "swagger2.json": "{not JSON"},
            "2",
            {"one": 1},
            id="the second file is not read",
        ),
        pytest.param(
            {"swagger.json": "{}", "swagger2.json": '{"two": 2}'},
            "2",
            {"two": 2},
            id="the first file is empty",
        ),
        pytest.param({"swagger3.json": '\ufeff{"a": 1}'}, "3", {"a": 1}, id="byte order mark"),
        pytest.param({"swagger3.json": "[NaN, -Infinity]"}, "3", [None, None], id="not a number"),
    ],
)
def test_a_file_of_the_user_s_replaces_the_generated_document(
    tmp_path: Path, files: dict[str, str], version: str, served: Any
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    documents = build(tmp_path)

    assert documents.get(version) == json.dumps(served).encode()
    generated = build(tmp_path / "elsewhere")
    for other in set(OPENAPI_VERSIONS) - {version}:
        assert documents.get(other) == generated.get(other)


@pytest.mark.parametrize("empty", ["{}", "[]", "null", "0", '""', "false"])
def test_a_file_that_says_nothing_leaves_the_generated_document(tmp_path: Path, empty: str) -> None:
    for name in ("swagger.json", "swagger2.json", "swagger3.json", "swagger3.1.json"):
        (tmp_path / name).write_text(empty)

    documents = build(tmp_path)

    assert documents == build(tmp_path / "elsewhere")


def test_a_file_of_the_user_s_serves_a_version_the_script_cannot_be_described_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "swagger.json").write_text('{"mine": 2}')

    with caplog.at_level(logging.INFO, logger="azmlinfsrv.swagger"):
        documents = build(tmp_path, PayloadSchemas({}, {}, versions=("3",)))

    assert documents.get(None) == b'{"mine": 2}'
    assert caplog.messages == [
        f"Loaded user's swagger file for version [2] from {tmp_path / 'swagger.json'}",
        "Swaggers are prepared for versions [2, 3] and skipped for versions [3.1].",
    ]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param(
            b'{"a": 1,\n bad}',
            "line 2, column 2: expected JSON: Expecting property name enclosed in double quotes",
            id="syntax",
        ),
        pytest.param(b"", "line 1, column 1: expected JSON: Expecting value", id="empty file"),
        pytest.param(
            '{"é": 1,\n "é\udcff": 2}'.encode(errors="surrogateescape"),
            "line 2, column 4: expected JSON: byte 0xff is not UTF-8",
            id="not UTF-8",
        ),
        pytest.param(
            b'\xef\xbb\xbf"\xff"',
            "line 1, column 2: expected JSON: byte 0xff is not UTF-8",
            id="not UTF-8 after a byte order mark",
        ),
    ],
)
def test_a_file_that_is_not_json_is_named_with_line_and_column(
    tmp_path: Path, content: bytes, where: str
) -> None:
    path = tmp_path / "swagger3.json"
    path.write_bytes(content)

    with pytest.raises(OpenApiFileError) as raised:
        build(tmp_path)

    assert str(raised.value) == f"`{path}` {where}"
    assert raised.value.hint == "Correct the file, or remove it to have the document generated"
    assert isinstance(raised.value, StartError)


def test_a_folder_in_a_file_s_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "swagger2.json"
    path.mkdir()

    with pytest.raises(OpenApiFileError) as raised:
        build(tmp_path)

    assert str(raised.value) == f"`{path}` cannot be read: {os.strerror(errno.EISDIR)}"


def test_an_example_json_cannot_say_is_served_as_null_or_text(tmp_path: Path) -> None:
    example = {"data": [math.nan, 1.5, math.inf], 3: {"set": frozenset(), "tuple": (1, True)}}
    schemas = PayloadSchemas({"type": "object", "example": example}, {"type": "object"})

    document = json.loads(build(tmp_path, schemas).get("3"))

    assert document["components"]["schemas"]["ServiceInput"]["example"] == {
        "data": [None, 1.5, None],
        "3": {"set": "frozenset()", "tuple": [1, True]},
    }


class Point(msgspec.Struct):
    x: int
    label: str | None = None


def test_type_hints_are_described_in_the_words_of_each_version(tmp_path: Path) -> None:
    schema = msgspec.json.schema(Point)
    schemas = PayloadSchemas(schema, {"type": "integer"}, is_json_schema=True)
    point = {"title": "Point", "type": "object", "required": ["x"]}

    documents = build(tmp_path, schemas)

    version_2 = json.loads(documents.get("2"))["definitions"]
    assert version_2["ServiceInput"] == {"$ref": "#/definitions/Point"}
    assert version_2["Point"] == {
        **point,
        "properties": {"x": {"type": "integer"}, "label": {"type": "string", "x-nullable": True}},
    }
    version_3 = json.loads(documents.get("3"))["components"]["schemas"]
    assert version_3["ServiceInput"] == {"$ref": "#/components/schemas/Point"}
    label_3 = {"type": "string", "nullable": True, "default": None}
    assert version_3["Point"] == {
        **point,
        "properties": {"x": {"type": "integer"}, "label": label_3},
    }
    version_31 = json.loads(documents.get("3.1"))["components"]["schemas"]
    assert version_31["Point"] == schema["$defs"]["Point"]
    assert version_31["ErrorResponse"] == version_3["ErrorResponse"] == version_2["ErrorResponse"]


@pytest.mark.parametrize(
    ("example", "versions"),
    [
        pytest.param([1, 2], ("2", "3", "3.1"), id="one type"),
        pytest.param([], ("2", "3", "3.1"), id="empty"),
        pytest.param([1, "x"], ("3", "3.1"), id="two types"),
        pytest.param([1, 2.5], ("3", "3.1"), id="integer and float"),
        pytest.param([True, 2], ("3", "3.1"), id="boolean and integer"),
        pytest.param([1, None], ("3", "3.1"), id="null"),
        pytest.param({"a": {"b": [1, "x"]}}, ("3", "3.1"), id="inside objects"),
        pytest.param([[1], [2, "x"]], ("3", "3.1"), id="inside a list"),
        pytest.param([[1], ["x"]], ("2", "3", "3.1"), id="one type in each list"),
        pytest.param([{"a": 1}, {"a": "x"}], ("2", "3", "3.1"), id="objects in a list"),
        pytest.param([{"a": [1, "x"]}], ("2", "3", "3.1"), id="inside an object in a list"),
        pytest.param("x", ("2", "3", "3.1"), id="no list"),
    ],
)
def test_an_example_with_a_mixed_list_takes_version_2_away(
    example: Any, versions: tuple[str, ...]
) -> None:
    described = {"type": "object", "example": example}

    assert supported_versions(described, {"type": "object"}) == versions
    assert supported_versions({"type": "object"}, described) == versions


@pytest.mark.parametrize(
    ("declared", "versions"),
    [
        pytest.param(["3.1", "3.0"], ("3", "3.1"), id="aliases"),
        pytest.param(["9.9", "2.0"], ("2",), id="unknown"),
        pytest.param([], (), id="none"),
    ],
)
def test_only_declared_versions_are_supported(
    declared: list[str], versions: tuple[str, ...]
) -> None:
    assert supported_versions({"example": 1}, {"example": 1}, declared) == versions


def test_an_inner_decorator_s_mixed_list_takes_version_2_away() -> None:
    @input_schema("data", StandardPythonParameterType(1))
    @input_schema("mixed", StandardPythonParameterType([1, "x"]))
    @output_schema(StandardPythonParameterType("x"))
    def run_with_stacked_decorators(data: Any, mixed: Any) -> str:
        return str((data, mixed))

    declared = get_supported_versions(run_with_stacked_decorators)
    versions = supported_versions(
        get_input_schema(run_with_stacked_decorators),
        get_output_schema(run_with_stacked_decorators),
        declared,
    )

    assert declared == ["2.0", "3.0", "3.1"]
    assert versions == ("3", "3.1")


@pytest.mark.parametrize(
    "sample",
    [[1, 2], [1, "x"], {"a": [1, 2.5]}, [[1], ["x"]], [{"a": [1, "x"]}], (1, "x"), "x", [[1, "x"]]],
    ids=str,
)
def test_inference_schema_s_own_versions_stay_for_one_decorator(sample: Any) -> None:
    def run_with_one_decorator(data: Any) -> Any:
        return data

    run_with_one_decorator.__name__ = f"run_with_{sample}"
    run = input_schema("data", StandardPythonParameterType(sample))(run_with_one_decorator)

    versions = supported_versions(get_input_schema(run), get_output_schema(run))

    plain_names = [{"2.0": "2", "3.0": "3"}.get(name, name) for name in get_supported_versions(run)]
    assert list(versions) == plain_names
