"""The documents that describe the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import requires_here, shared_server
from tests.servers import ServerProcess

server = shared_server(
    "returns_input.py",
    environ={"SERVICE_NAME": "my service", "SERVICE_VERSION": "7", "SERVICE_PATH_PREFIX": "/pre/"},
)

ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
ANYTHING = {"type": "object", "example": {}}
BEARER = {"type": "apiKey", "name": "Authorization", "in": "header"}
OPERATIONS = {
    ("/pre/", "get"): "ServiceHealthCheck",
    ("/pre/score", "post"): "RunMLService",
    ("/pre/swagger.json", "get"): "GetSwaggerSpec",
}


def operations_of(document: dict[str, dict[str, dict[str, dict[str, object]]]]) -> object:
    """Return the name of each operation by path and method."""
    return {
        (path, method): operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("query", ["", "?version=2", "?version=2.0", "?version=2&version=9"])
def test_version_2_is_the_default(server: ServerProcess, query: str) -> None:
    response = server.get("/swagger.json" + query)

    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert response.json()["swagger"] == "2.0"


def test_version_2_describes_the_service(server: ServerProcess) -> None:
    document = server.get("/swagger.json").json()

    assert document["info"] == {
        "title": "my service",
        "description": "API specification for the Azure Machine Learning service my service",
        "version": "7",
    }
    assert document["schemes"] == ["https"]
    assert document["consumes"] == document["produces"] == ["application/json"]
    assert (
        document["securityDefinitions"]["Bearer"] | BEARER
        == (document["securityDefinitions"]["Bearer"])
    )
    assert operations_of(document) == OPERATIONS
    assert document["definitions"] == {
        "ServiceInput": ANYTHING,
        "ServiceOutput": ANYTHING,
        "ErrorResponse": ERROR,
    }


def test_version_2_describes_the_scoring_operation(server: ServerProcess) -> None:
    operation = server.get("/swagger.json").json()["paths"]["/pre/score"]["post"]

    assert operation["security"] == [{"Bearer": []}]
    (parameter,) = operation["parameters"]
    assert (parameter["name"], parameter["in"]) == ("serviceInputPayload", "body")
    assert parameter["schema"] == {"$ref": "#/definitions/ServiceInput"}
    assert {status: answer["schema"] for status, answer in operation["responses"].items()} == {
        "200": {"$ref": "#/definitions/ServiceOutput"},
        "default": {"$ref": "#/definitions/ErrorResponse"},
    }


@pytest.mark.parametrize(
    ("version", "marker"), [("3", "3.0.3"), ("3.0", "3.0.3"), ("3.1", "3.1.0")]
)
def test_version_3_describes_the_service(server: ServerProcess, version: str, marker: str) -> None:
    document = server.get(f"/swagger.json?version={version}").json()

    assert document["openapi"] == marker
    assert document["info"]["title"] == "my service"
    assert document["security"] == [{"Bearer": []}]
    assert operations_of(document) == OPERATIONS
    assert document["components"]["schemas"] == {
        "ServiceInput": ANYTHING,
        "ServiceOutput": ANYTHING,
        "ErrorResponse": ERROR,
    }
    operation = document["paths"]["/pre/score"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ServiceInput"
    }
    assert {
        status: answer["content"]["application/json"]["schema"]
        for status, answer in operation["responses"].items()
    } == {
        "200": {"$ref": "#/components/schemas/ServiceOutput"},
        "default": {"$ref": "#/components/schemas/ErrorResponse"},
    }


@pytest.mark.parametrize("version", ["9", "3.0a", "3.1.0", ""])
def test_an_unknown_version_is_refused(server: ServerProcess, version: str) -> None:
    response = server.get(f"/swagger.json?version={version}")

    assert (response.status, response.headers["Content-Type"]) == (404, "application/json")
    assert response.json()["message"] == (
        f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1]."
    )


def test_the_prefix_does_not_move_the_routes(server: ServerProcess) -> None:
    assert server.score("x").status == 200
    assert server.get("/pre/").status == 404


def test_head_of_a_document_has_no_body(server: ServerProcess) -> None:
    response = server.request("HEAD", "/swagger.json")

    assert (response.status, response.body) == (200, b"")


def test_a_described_script_shows_its_schema(start_server: StartServer) -> None:
    requires_here("inference_schema", "numpy")
    server = start_server("schema_numpy.py")

    definitions = server.get("/swagger.json").json()["definitions"]
    schemas = server.get("/swagger.json?version=3").json()["components"]["schemas"]

    number = {"type": "number", "format": "double"}
    row = {"type": "array", "items": number}
    array = {"type": "array", "items": row, "format": "numpy.ndarray"}
    assert definitions["ServiceInput"] == {
        "type": "object",
        "properties": {"data": array},
        "example": {"data": [[1.0, 2.0]]},
    }
    assert definitions["ServiceOutput"] == {
        "type": "array",
        "items": number,
        "format": "numpy.ndarray",
        "example": [3.0],
    }
    assert schemas == definitions
    server.wait_for_log(
        r"run\(\) is decorated with @input_schema\. Server will invoke it with the following "
        r"arguments: data\."
    )


def test_an_undescribed_result_may_be_anything(start_server: StartServer) -> None:
    requires_here("inference_schema")
    server = start_server("schema_custom_type.py")

    definitions = server.get("/swagger.json").json()["definitions"]

    assert definitions["ServiceInput"]["properties"] == {
        "degrees": {"type": "string", "format": "celsius"}
    }
    assert definitions["ServiceOutput"] == {"type": "object"}


def test_a_version_the_script_cannot_have_is_refused(start_server: StartServer) -> None:
    requires_here("inference_schema")
    server = start_server("schema_mixed_list.py")

    response = server.get("/swagger.json")

    assert response.status == 404
    assert response.json()["message"] == (
        "Swagger version [2] is not supported for the scoring script. "
        "Supported swagger versions: [3, 3.1]."
    )
    assert server.get("/swagger.json?version=3").status == 200
    assert "versions [3, 3.1] and skipped for versions [2]." in server.log


def test_the_users_documents_replace_the_generated(
    start_server: StartServer, tmp_path: Path
) -> None:
    documents = {"swagger2.json": ["two"], "swagger3.json": {"mine": 3}, "swagger3.1.json": "text"}
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))

    server = start_server("returns_input.py")

    assert server.get("/swagger.json").json() == ["two"]
    assert server.get("/swagger.json?version=3").json() == {"mine": 3}
    assert server.get("/swagger.json?version=3.1").json() == "text"
    assert "Loaded user's swagger file for version [2] from" in server.log


def test_the_plain_name_wins_and_an_empty_document_counts_for_nothing(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "swagger.json").write_text('{"mine": 2}')
    (tmp_path / "swagger2.json").write_text('{"mine": "not this"}')
    (tmp_path / "swagger3.json").write_text("{}")

    server = start_server("returns_input.py")

    assert server.get("/swagger.json").json() == {"mine": 2}
    assert server.get("/swagger.json?version=3").json()["openapi"] == "3.0.3"


def test_a_broken_document_of_the_user_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "swagger.json").write_text("{")

    assert start_server("returns_input.py", ready=False).wait_exit() == 3
