"""JSON Schema in the words of Swagger 2.0, OpenAPI 3.0 and OpenAPI 3.1."""

from __future__ import annotations

import copy
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.json_schema import SchemaDialect, convert_schemas

SWAGGER_2 = SchemaDialect.SWAGGER_2
OPENAPI_3_0 = SchemaDialect.OPENAPI_3_0
OPENAPI_3_1 = SchemaDialect.OPENAPI_3_1
INTEGER = {"type": "integer"}
STRING = {"type": "string"}
NULL = {"type": "null"}


def convert(schema: dict[str, Any], dialect: SchemaDialect) -> Any:
    return convert_schemas({"Root": schema}, dialect)["Root"]


@pytest.mark.parametrize(
    ("schema", "version_2", "version_3"),
    [
        pytest.param({"const": 1}, {"enum": [1]}, {"enum": [1]}, id="const"),
        pytest.param(
            {"title": "T", **INTEGER},
            {"title": "T", **INTEGER},
            {"title": "T", **INTEGER},
            id="plain",
        ),
        pytest.param(
            {**INTEGER, "examples": [3, 4]},
            {**INTEGER, "example": 3},
            {**INTEGER, "example": 3},
            id="examples",
        ),
        pytest.param(
            {**STRING, "contentEncoding": "base64"},
            {**STRING, "format": "byte"},
            {**STRING, "format": "byte"},
            id="base64",
        ),
        pytest.param(
            {**INTEGER, "exclusiveMinimum": 1, "maximum": 5},
            {**INTEGER, "minimum": 1, "exclusiveMinimum": True, "maximum": 5},
            {**INTEGER, "minimum": 1, "exclusiveMinimum": True, "maximum": 5},
            id="exclusive bound",
        ),
        pytest.param(
            {"exclusiveMinimum": 1, "minimum": 2, "exclusiveMaximum": 4, "maximum": 5},
            {"minimum": 2, "maximum": 4, "exclusiveMaximum": True},
            {"minimum": 2, "maximum": 4, "exclusiveMaximum": True},
            id="the tighter of two bounds",
        ),
        pytest.param(
            {"type": ["integer", "null"]},
            {**INTEGER, "x-nullable": True},
            {**INTEGER, "nullable": True},
            id="a type or null",
        ),
        pytest.param(
            {"anyOf": [INTEGER, NULL], "default": None},
            {**INTEGER, "x-nullable": True},
            {**INTEGER, "nullable": True, "default": None},
            id="a schema or null",
        ),
        pytest.param(
            {"oneOf": [{"enum": ["a"]}, {"const": None}]},
            {"enum": ["a", None], "x-nullable": True},
            {"enum": ["a", None], "nullable": True},
            id="a listed value or null",
        ),
        pytest.param(
            {"enum": [None, "a"]},
            {"enum": [None, "a"], "x-nullable": True},
            {"enum": [None, "a"], "nullable": True},
            id="null among the listed values",
        ),
        pytest.param(
            {"enum": ["a"], "anyOf": [STRING, NULL]},
            {"enum": ["a"], **STRING},
            {"enum": ["a"], **STRING},
            id="null that the listed values exclude",
        ),
        pytest.param(
            NULL,
            {"enum": [None], "x-nullable": True},
            {"enum": [None], "nullable": True},
            id="null alone",
        ),
        pytest.param(
            {"anyOf": [NULL]},
            {"enum": [None], "x-nullable": True},
            {"enum": [None], "nullable": True},
            id="null as the only alternative",
        ),
        pytest.param(
            {"anyOf": [INTEGER, STRING, NULL]},
            {"x-anyOf": [INTEGER, STRING], "x-nullable": True},
            {"anyOf": [INTEGER, STRING], "nullable": True},
            id="several schemas or null",
        ),
        pytest.param(
            {"anyOf": [{**INTEGER, "minimum": 9}, {**INTEGER, "maximum": 1}]},
            {**INTEGER, "x-anyOf": [{**INTEGER, "minimum": 9}, {**INTEGER, "maximum": 1}]},
            {"anyOf": [{**INTEGER, "minimum": 9}, {**INTEGER, "maximum": 1}]},
            id="schemas of one type",
        ),
        pytest.param(
            {"type": ["integer", "string"], "oneOf": [{"const": 1}, {"const": "a"}]},
            {
                "x-anyOf": [{"enum": [1]}, {"enum": ["a"]}],
                "allOf": [{"x-anyOf": [INTEGER, STRING]}],
            },
            {"anyOf": [{"enum": [1]}, {"enum": ["a"]}], "allOf": [{"anyOf": [INTEGER, STRING]}]},
            id="two unions",
        ),
        pytest.param(
            {"description": "outer", "anyOf": [{**INTEGER, "description": "inner"}]},
            {"description": "outer", "allOf": [{**INTEGER, "description": "inner"}]},
            {"description": "outer", "allOf": [{**INTEGER, "description": "inner"}]},
            id="one alternative that says the same otherwise",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [INTEGER, STRING], "items": False, "minItems": 2},
            {
                "type": "array",
                "items": {"x-anyOf": [INTEGER, STRING]},
                "minItems": 2,
                "maxItems": 2,
            },
            {"type": "array", "items": {"anyOf": [INTEGER, STRING]}, "minItems": 2, "maxItems": 2},
            id="tuple",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [INTEGER, INTEGER], "maxItems": 2},
            {"type": "array", "items": INTEGER, "maxItems": 2},
            {"type": "array", "items": INTEGER, "maxItems": 2},
            id="tuple of one type",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [INTEGER], "items": STRING},
            {"type": "array", "items": {"x-anyOf": [INTEGER, STRING]}},
            {"type": "array", "items": {"anyOf": [INTEGER, STRING]}},
            id="tuple and more",
        ),
        pytest.param(
            {"type": "array", "prefixItems": [INTEGER]},
            {"type": "array", "items": {}},
            {"type": "array", "items": {}},
            id="tuple and anything more",
        ),
        pytest.param(
            {"type": "array", "items": False},
            {"type": "array", "items": {}, "maxItems": 0},
            {"type": "array", "items": {}, "maxItems": 0},
            id="empty array",
        ),
        pytest.param(
            {"type": "array"},
            {"type": "array", "items": {}},
            {"type": "array", "items": {}},
            id="array of anything",
        ),
        pytest.param(
            {"type": "object", "required": [], "additionalProperties": False},
            {"type": "object", "additionalProperties": False},
            {"type": "object", "additionalProperties": False},
            id="nothing required",
        ),
        pytest.param(
            {"properties": {"yes": True, "no": False}},
            {"properties": {"yes": {}, "no": {}}},
            {"properties": {"yes": {}, "no": {"not": {}}}},
            id="everything and nothing",
        ),
        pytest.param(
            {"deprecated": True, "writeOnly": True, "readOnly": True},
            {"readOnly": True},
            {"deprecated": True, "writeOnly": True, "readOnly": True},
            id="notes Swagger 2.0 lacks",
        ),
        pytest.param(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "propertyNames": {"minLength": 2},
                "if": INTEGER,
                "not": {"enum": [1]},
                "x-mine": 1,
            },
            {"x-mine": 1},
            {"x-mine": 1},
            id="keywords both lack",
        ),
        pytest.param(
            {"properties": {"$ref": STRING, "const": INTEGER}, "default": {"const": 1}},
            {"properties": {"$ref": STRING, "const": INTEGER}, "default": {"const": 1}},
            {"properties": {"$ref": STRING, "const": INTEGER}, "default": {"const": 1}},
            id="keywords that are names and values",
        ),
        pytest.param(
            {"minimum": 1, "exclusiveMinimum": True},
            {"minimum": 1, "exclusiveMinimum": True},
            {"minimum": 1, "exclusiveMinimum": True},
            id="exclusive bound as a flag",
        ),
    ],
)
def test_keywords_are_said_in_the_words_of_the_older_dialects(
    schema: dict[str, Any], version_2: dict[str, Any], version_3: dict[str, Any]
) -> None:
    assert convert(schema, SWAGGER_2) == version_2
    assert convert(schema, OPENAPI_3_0) == version_3
    assert convert(schema, OPENAPI_3_1) == schema


@pytest.mark.parametrize(
    ("dialect", "place"),
    [
        (SWAGGER_2, "#/definitions/"),
        (OPENAPI_3_0, "#/components/schemas/"),
        (OPENAPI_3_1, "#/components/schemas/"),
    ],
)
def test_definitions_move_to_their_place_in_the_document(
    dialect: SchemaDialect, place: str
) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    schema = {"type": "array", "items": {"$ref": "#/$defs/Node"}, "$defs": {"Node": node}}

    assert convert_schemas({"Root": schema}, dialect) == {
        "Root": {"type": "array", "items": {"$ref": f"{place}Node"}},
        "Node": {"type": "object", "properties": {"next": {"$ref": f"{place}Node"}}},
    }


def test_what_stands_beside_a_reference_stays_beside_it_in_openapi_3_1_alone() -> None:
    schema = {
        "properties": {
            "plain": {"$ref": "#/$defs/A", "description": "d"},
            "null": {"anyOf": [{"$ref": "#/$defs/A"}, NULL]},
        },
        "$defs": {"A": INTEGER},
    }
    moved = {"$ref": "#/components/schemas/A"}

    assert convert(schema, OPENAPI_3_0)["properties"] == {
        "plain": {"allOf": [moved], "description": "d"},
        "null": {"allOf": [moved], "nullable": True},
    }
    assert convert(schema, OPENAPI_3_1)["properties"] == {
        "plain": {**moved, "description": "d"},
        "null": {"anyOf": [moved, NULL]},
    }


def test_a_discriminator_leads_to_the_moved_definitions() -> None:
    schema = {
        "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "discriminator": {"propertyName": "type", "mapping": {"a": "#/$defs/A", "b": "#/$defs/B"}},
        "$defs": {"A": {"type": "object"}, "B": {"type": "object"}},
    }
    components = "#/components/schemas/"

    for dialect in (OPENAPI_3_0, OPENAPI_3_1):
        assert convert(schema, dialect)["discriminator"] == {
            "propertyName": "type",
            "mapping": {"a": f"{components}A", "b": f"{components}B"},
        }
    assert "discriminator" not in convert(schema, SWAGGER_2)


def test_references_outside_the_definitions_and_values_stay() -> None:
    value = {"$ref": "#/$defs/A"}
    schema = {
        "properties": {"outside": {"$ref": "https://example.com/schema.json"}},
        "default": value,
        "enum": [value],
        "$defs": {"A": INTEGER},
    }

    assert convert(schema, OPENAPI_3_0) == {
        "properties": {"outside": {"$ref": "https://example.com/schema.json"}},
        "default": value,
        "enum": [value],
    }


def test_a_reference_reads_escapes_and_leads_inside_a_definition() -> None:
    schema = {
        "properties": {"x": {"$ref": "#/$defs/a~1b%20c/properties/x"}},
        "$defs": {"a/b c": {"properties": {"x": INTEGER}}},
    }

    definitions = convert_schemas({"Root": schema}, OPENAPI_3_0)

    reference = {"$ref": "#/components/schemas/a_b_c/properties/x"}
    assert definitions["Root"] == {"properties": {"x": reference}}
    assert definitions["a_b_c"] == {"properties": {"x": INTEGER}}


def test_definitions_that_two_schemas_share_are_written_once() -> None:
    shared = {"$ref": "#/$defs/A", "$defs": {"A": INTEGER}}

    definitions = convert_schemas({"In": shared, "Out": shared}, SWAGGER_2)

    reference = {"$ref": "#/definitions/A"}
    assert definitions == {"In": reference, "Out": reference, "A": INTEGER}


def test_definitions_of_one_name_that_differ_are_kept_apart() -> None:
    def schema(leaf: dict[str, Any]) -> dict[str, Any]:
        branch = {"type": "array", "items": {"$ref": "#/$defs/Leaf"}}
        return {"$ref": "#/$defs/Branch", "$defs": {"Branch": branch, "Leaf": leaf}}

    definitions = convert_schemas({"In": schema(INTEGER), "Out": schema(STRING)}, SWAGGER_2)

    assert definitions == {
        "In": {"$ref": "#/definitions/Branch"},
        "Branch": {"type": "array", "items": {"$ref": "#/definitions/Leaf"}},
        "Leaf": INTEGER,
        "Out": {"$ref": "#/definitions/Branch_2"},
        "Branch_2": {"type": "array", "items": {"$ref": "#/definitions/Leaf_2"}},
        "Leaf_2": STRING,
    }


def test_no_definition_takes_the_name_of_a_schema_or_a_reserved_one() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/Root"}, "b": {"$ref": "#/$defs/ErrorResponse"}},
        "$defs": {"Root": INTEGER, "ErrorResponse": STRING},
    }

    definitions = convert_schemas({"Root": schema}, SWAGGER_2, reserved=["ErrorResponse"])

    assert definitions == {
        "Root": {
            "properties": {
                "a": {"$ref": "#/definitions/Root_2"},
                "b": {"$ref": "#/definitions/ErrorResponse_2"},
            }
        },
        "Root_2": INTEGER,
        "ErrorResponse_2": STRING,
    }


def test_a_reference_to_no_definition_is_an_error() -> None:
    with pytest.raises(KeyError, match="Missing"):
        convert({"$ref": "#/$defs/Missing"}, OPENAPI_3_1)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Circle(msgspec.Struct, tag=True):
    radius: Annotated[float, msgspec.Meta(gt=0, examples=[1.5], description="In metres.")]
    colour: Colour = Colour.RED
    inside: Circle | None = None


class Square(msgspec.Struct, tag=True):
    corners: tuple[int, str]
    kind: Literal["big", None] = None
    blob: bytes = b""


class Drawing(msgspec.Struct):
    shape: Circle | Square | None
    sizes: dict[str, int | float]


def subschemas(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema and every schema inside it, for the keywords of Swagger 2.0 and OpenAPI 3.0."""
    inside = [*schema.get("properties", {}).values()]
    for keyword in ("allOf", "anyOf", "x-anyOf"):
        inside += schema.get(keyword, [])
    inside += [schema[key] for key in ("items", "not") if key in schema]
    inside += [
        v for k, v in schema.items() if k == "additionalProperties" and v not in (True, False)
    ]
    return [schema, *(found for each in inside for found in subschemas(each))]


def assert_valid(definitions: dict[str, Any], dialect: SchemaDialect) -> None:
    known = dialect.keywords | {dialect.nullable, "x-anyOf"}
    for definition in definitions.values():
        for schema in subschemas(definition):
            assert schema.keys() <= known
            assert schema.get("type", "integer") in {
                "array", "boolean", "integer", "number", "object", "string"
            }  # fmt: skip
            assert schema.get("required") != []
            assert "items" in schema or schema.get("type") != "array"
            if "$ref" in schema:
                assert list(schema) == ["$ref"]
                assert schema["$ref"].removeprefix(dialect.definitions) in definitions


@pytest.mark.parametrize("dialect", [SWAGGER_2, OPENAPI_3_0])
def test_what_msgspec_writes_becomes_valid(dialect: SchemaDialect) -> None:
    definitions = convert_schemas({"Root": msgspec.json.schema(Drawing)}, dialect)

    assert set(definitions) == {"Root", "Drawing", "Circle", "Square", "Colour"}
    assert_valid(definitions, dialect)


def test_a_tagged_union_or_null_keeps_its_discriminator_in_openapi_3_0() -> None:
    drawing = convert_schemas({"Root": msgspec.json.schema(Drawing)}, OPENAPI_3_0)["Drawing"]

    references = {name: f"#/components/schemas/{name}" for name in ("Circle", "Square")}
    assert drawing["properties"]["shape"] == {
        "anyOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
        "nullable": True,
    }


TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a"])


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES)
            | st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "minimum": st.integers(),
            "exclusiveMinimum": st.integers(),
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "items": inner,
            "prefixItems": several,
            "maxItems": st.integers(0, 3),
            "properties": st.dictionaries(st.sampled_from(["a", "$ref", "const"]), inner),
            "required": st.lists(st.sampled_from("ab"), unique=True),
            "additionalProperties": inner,
            "default": VALUES,
        },
    )


SCHEMAS = st.recursive(
    st.booleans() | st.just({"$ref": "#/$defs/Leaf", "description": "d"}), keywords, max_leaves=6
)


@given(schema=keywords(SCHEMAS), leaf=keywords(st.booleans()))
def test_any_schema_becomes_valid_and_stays_as_it_was(
    schema: dict[str, Any], leaf: dict[str, Any]
) -> None:
    whole = {**schema, "$defs": {"Leaf": leaf}}
    before = copy.deepcopy(whole)

    for dialect in (SWAGGER_2, OPENAPI_3_0):
        assert_valid(convert_schemas({"Root": whole}, dialect), dialect)

    assert whole == before
