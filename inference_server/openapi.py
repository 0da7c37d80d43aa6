"""Builds the OpenAPI documents of one scoring script, served at `/swagger.json`.

There is one document for each of Swagger 2.0, OpenAPI 3.0 and OpenAPI 3.1. A file of the user's
takes the place of a generated one. Names, paths, operations and descriptions of the generated
documents are those of azureml-inference-server-http 1.5.1, as clients are generated from them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from inference_server.errors import RequestError, StartError
from inference_server.json_schema import SchemaDialect, convert_schemas

log = logging.getLogger("azmlinfsrv.swagger")

OPENAPI_VERSIONS = ("2", "3", "3.1")
"""Every version there can be, by the name that `?version=` takes."""

_VERSION_BY_NAME = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}
_USER_FILES = {
    "2": ("swagger.json", "swagger2.json"),
    "3": ("swagger3.json",),
    "3.1": ("swagger3.1.json",),
}
_SPECIFICATION = {"3": "3.0.3", "3.1": "3.1.0"}
_FAILED = "The service failed to execute due to an error."
_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "For example: Bearer abc123",
}
_ERROR_RESPONSE = {"type": "object", "properties": {"message": {"type": "string"}}}


class OpenApiVersionError(RequestError, ValueError):
    """No document of the requested version is served; answered with 404."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, message)


class OpenApiFileError(StartError, ValueError):
    """A document of the user's cannot be served: it is not JSON, or cannot be read."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class ServiceDescription:
    """What the documents call the service, and the path before its routes."""

    name: str
    version: str
    path_prefix: str


@dataclass(frozen=True)
class PayloadSchemas:
    """What `run()` takes and returns, and the versions whose schemas can say so.

    The documents of inference-schema stand in every version as they are. With `is_json_schema` the
    two are JSON Schema (draft 2020-12) with their definitions under `$defs`, as
    `msgspec.json.schema` writes it, and converted for each version.
    """

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    versions: tuple[str, ...] = OPENAPI_VERSIONS
    is_json_schema: bool = False


UNDESCRIBED_PAYLOAD = PayloadSchemas(
    input={"type": "object", "example": {}}, output={"type": "object", "example": {}}
)
"""For a `run()` that says nothing about its input and output."""


@dataclass(frozen=True)
class OpenApiDocuments:
    """The documents of one scoring script, serialised once."""

    served: Mapping[str, bytes]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions there is a document for, oldest first."""
        return tuple(version for version in OPENAPI_VERSIONS if version in self.served)

    def get(self, version: str | None) -> bytes:
        """The document of a version as JSON; of version 2 when the request names none.

        Raises:
            OpenApiVersionError: There is no such version, or none for this scoring script.
        """
        name = "2" if version is None else version
        known = _VERSION_BY_NAME.get(name, "")
        if known in self.served:
            return self.served[known]
        versions = _listed(self.versions)
        if not known:
            raise OpenApiVersionError(
                f"Swagger version [{name}] is not valid. Supported versions: {versions}."
            )
        raise OpenApiVersionError(
            f"Swagger version [{name}] is not supported for the scoring script. "
            f"Supported swagger versions: {versions}."
        )


def build_openapi_documents(
    service: ServiceDescription, schemas: PayloadSchemas, app_root: Path
) -> OpenApiDocuments:
    """Every document that can be served, the user's own in `app_root` before generated ones.

    A file of the user's counts for its version even if the scoring script cannot be described in
    it; one that holds an empty value counts as absent.

    Raises:
        OpenApiFileError: A file of the user's is not JSON, or cannot be read.
    """
    supported = {_VERSION_BY_NAME.get(version) for version in schemas.versions}
    served = {}
    for version in OPENAPI_VERSIONS:
        document = _load_user_document(version, app_root)
        if not document and version in supported:
            document = _generate(version, service, schemas)
        if document:
            served[version] = _serialise(document)
    documents = OpenApiDocuments(served)
    log.info("%s", _summary(documents.versions))
    return documents


def supported_versions(
    input_schema: Mapping[str, Any],
    output_schema: Mapping[str, Any],
    declared: Iterable[str] = OPENAPI_VERSIONS,
) -> tuple[str, ...]:
    """The declared versions that can describe the examples of inference-schema documents.

    `declared` is what `inference_schema.schema_util.get_supported_versions` returns. Of several
    `input_schema` decorators it tells the outermost one's versions alone. A list of values of
    different types cannot be described in Swagger 2.0, whichever parameter has it.
    """
    versions = {_VERSION_BY_NAME.get(version) for version in declared}
    if _mixes_types(input_schema.get("example")) or _mixes_types(output_schema.get("example")):
        versions.discard("2")
    return tuple(version for version in OPENAPI_VERSIONS if version in versions)


def _mixes_types(example: object) -> bool:
    """Whether a list in the example mixes types, as far as inference-schema 1.8 looks.

    It looks into the values of an object and into lists within lists, not into objects in a list.
    """
    if isinstance(example, Mapping):
        return any(_mixes_types(value) for value in example.values())
    if not isinstance(example, list):
        return False
    if len({type(value) for value in example}) > 1:
        return True
    return any(_mixes_types(value) for value in example if isinstance(value, list))


def _load_user_document(version: str, app_root: Path) -> Any:
    """What the first file that holds more than an empty value says; else None."""
    for name in _USER_FILES[version]:
        path = app_root / name
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise OpenApiFileError(
                f"`{path}` cannot be read: {error.strerror}",
                hint=f"The OpenAPI document {name} must be a file that the server may read",
            ) from error
        document = _parse(content, path)
        log.info("Loaded user's swagger file for version [%s] from %s", version, path)
        if document:
            return document
    return None


def _parse(content: bytes, path: Path) -> Any:
    hint = "Correct the file, or remove it to have the document generated"
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        reason = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
    except json.JSONDecodeError as error:
        line, column, reason = error.lineno, error.colno, error.msg
    raise OpenApiFileError(
        f"`{path}` line {line}, column {column}: expected JSON: {reason}", hint=hint
    )


def _serialise(document: Any) -> bytes:
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(_as_json(document))
    return text.encode("ascii")


def _as_json(value: Any) -> Any:
    """The value with what JSON cannot say, which examples may hold, as null or as text."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _summary(prepared: tuple[str, ...]) -> str:
    skipped = [version for version in OPENAPI_VERSIONS if version not in prepared]
    if not prepared:
        return "No swagger is prepared."
    if not skipped:
        return f"Swaggers are prepared for the following versions: {_listed(prepared)}."
    return (
        f"Swaggers are prepared for versions {_listed(prepared)} "
        f"and skipped for versions {_listed(skipped)}."
    )


def _listed(versions: Iterable[str]) -> str:
    return f"[{', '.join(versions)}]"


def _generate(version: str, service: ServiceDescription, schemas: PayloadSchemas) -> dict[str, Any]:
    dialect = SchemaDialect(version)
    payload = {"ServiceInput": schemas.input, "ServiceOutput": schemas.output}
    if schemas.is_json_schema:
        payload = convert_schemas(payload, dialect, reserved=["ErrorResponse"])
    definitions = {**payload, "ErrorResponse": _ERROR_RESPONSE}
    info = {
        "title": service.name,
        "description": f"API specification for the Azure Machine Learning service {service.name}",
        "version": service.version,
    }
    paths = _paths(service.path_prefix, dialect)
    if dialect is SchemaDialect.SWAGGER_2:
        return {
            "swagger": "2.0",
            "info": info,
            "schemes": ["https"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {"Bearer": _BEARER},
            "paths": paths,
            "definitions": definitions,
        }
    return {
        "openapi": _SPECIFICATION[version],
        "info": info,
        "security": [{"Bearer": []}],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": {"Bearer": _BEARER}},
    }


def _paths(path_prefix: str, dialect: SchemaDialect) -> dict[str, Any]:
    trimmed = path_prefix.strip("/")
    prefix = f"/{trimmed}" if trimmed else ""
    return {
        f"{prefix}/": {"get": _health_operation(dialect)},
        f"{prefix}/score": {"post": _score_operation(dialect)},
        f"{prefix}/swagger.json": {"get": _document_operation(dialect)},
    }


def _health_operation(dialect: SchemaDialect) -> dict[str, Any]:
    content: dict[str, Any]
    if dialect is SchemaDialect.SWAGGER_2:
        content = {"schema": {"type": "string"}, "examples": {"application/json": "Healthy"}}
    else:
        content = _content({"type": "string", "example": "Healthy"}, dialect, "text/plain")
    answer = (
        "If service is up and running, this response will be returned with the content 'Healthy'"
    )
    return {
        "operationId": "ServiceHealthCheck",
        "description": (
            "Simple health check endpoint to ensure the service is up at any given point."
        ),
        "responses": _responses(answer, content, dialect),
    }


def _score_operation(dialect: SchemaDialect) -> dict[str, Any]:
    description = "The input payload for executing the real-time machine learning service."
    body = {"description": description, **_content(_reference("ServiceInput", dialect), dialect)}
    takes: dict[str, Any]
    if dialect is SchemaDialect.SWAGGER_2:
        takes = {"parameters": [{"name": "serviceInputPayload", "in": "body", **body}]}
    else:
        takes = {"requestBody": body}
    answer = (
        "The service processed the input correctly and provided a result prediction, if applicable."
    )
    return {
        "operationId": "RunMLService",
        "description": "Run web service's model and get the prediction output",
        "security": [{"Bearer": []}],
        **takes,
        "responses": _responses(
            answer, _content(_reference("ServiceOutput", dialect), dialect), dialect
        ),
    }


def _document_operation(dialect: SchemaDialect) -> dict[str, Any]:
    kind = {"type": "integer", "enum": [2, 3]}
    version = {"name": "version", "in": "query", "required": False}
    version |= kind if dialect is SchemaDialect.SWAGGER_2 else {"schema": kind}
    return {
        "operationId": "GetSwaggerSpec",
        "description": "Get the Swagger specification.",
        "parameters": [version],
        "responses": _responses(
            "The Swagger specification.",
            _content({"type": "string"}, dialect, "text/plain"),
            dialect,
        ),
    }


def _responses(
    description: str, content: Mapping[str, Any], dialect: SchemaDialect
) -> dict[str, Any]:
    failed = _content(_reference("ErrorResponse", dialect), dialect)
    return {
        "200": {"description": description, **content},
        "default": {"description": _FAILED, **failed},
    }


def _content(
    schema: Mapping[str, Any], dialect: SchemaDialect, media_type: str = "application/json"
) -> dict[str, Any]:
    if dialect is SchemaDialect.SWAGGER_2:
        return {"schema": schema}
    return {"content": {media_type: {"schema": schema}}}


def _reference(name: str, dialect: SchemaDialect) -> dict[str, str]:
    return {"$ref": dialect.definitions + name}
