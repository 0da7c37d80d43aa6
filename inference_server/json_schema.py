"""Rewrites JSON Schema (draft 2020-12) in the schema dialects of Swagger 2.0 and OpenAPI 3.

OpenAPI 3.1 takes JSON Schema as it is, so only its definitions move. Swagger 2.0 and OpenAPI 3.0
lack keywords: what they can say in other words is reworded, the rest is left out, so that a
converted schema may allow more than the original did. Null is said as generators of clients
read it: `nullable: true` (`x-nullable` in Swagger 2.0) on the schema, in an `allOf` round a `$ref`.

Sources: the Schema Objects of Swagger 2.0, OpenAPI 3.0.3 and OpenAPI 3.1.0; what
`msgspec.json.schema` and pydantic write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import unquote

Schema: TypeAlias = Mapping[str, Any] | bool

_DEFINITION = "#/$defs/"
_CONDITIONS = {"contains", "else", "if", "not", "then"}
_MEMBERS = {"additionalProperties", "items", "propertyNames"}
_ONE_SCHEMA = _CONDITIONS | _MEMBERS | {"unevaluatedItems", "unevaluatedProperties"}
_SCHEMA_LIST = {"allOf", "anyOf", "oneOf", "prefixItems"}
_NAMED_SCHEMAS = {"$defs", "dependentSchemas", "patternProperties", "properties"}
_PARTS = {"additionalProperties", "allOf", "items", "properties", "required", "uniqueItems"}
_BOUNDS = {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"}
_SIZES = {"maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"}
_NOTES = {"default", "description", "example", "externalDocs", "readOnly", "title", "xml"}
_VALUES = {"$ref", "enum", "format", "pattern", "type"}
_SWAGGER_2_KEYWORDS = frozenset(_PARTS | _BOUNDS | _SIZES | _NOTES | _VALUES)


class SchemaDialect(Enum):
    """The schema language of one version of the OpenAPI document; the value is that version."""

    SWAGGER_2 = "2"
    OPENAPI_3_0 = "3"
    OPENAPI_3_1 = "3.1"

    @property
    def definitions(self) -> str:
        """How a reference to a definition of the document begins."""
        return "#/definitions/" if self is SchemaDialect.SWAGGER_2 else "#/components/schemas/"

    @property
    def keywords(self) -> frozenset[str]:
        """What a schema may say beside `x-…`; for the two dialects that are not JSON Schema."""
        if self is SchemaDialect.SWAGGER_2:
            return _SWAGGER_2_KEYWORDS
        return _SWAGGER_2_KEYWORDS | {"anyOf", "deprecated", "discriminator", "not", "writeOnly"}

    @property
    def nullable(self) -> str:
        """The keyword that adds null to a schema."""
        return "x-nullable" if self is SchemaDialect.SWAGGER_2 else "nullable"


def convert_schemas(
    schemas: Mapping[str, Mapping[str, Any]],
    dialect: SchemaDialect,
    reserved: Iterable[str] = (),
) -> dict[str, Any]:
    """The definitions of a document: the named schemas and, beside them, what they define.

    Each schema holds its own definitions under `$defs` at its root and refers to them as
    `#/$defs/<name>`. Two schemas that define the same names alike share them; otherwise the later
    one's get a number. No definition takes a name of `schemas` or `reserved`.

    Raises:
        KeyError: A schema refers to a definition that it does not hold.
    """
    used = {*schemas, *reserved}
    shared: dict[str, str] = {}
    bodies: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for root, schema in schemas.items():
        own = schema.get("$defs", {})
        alike = all(own[name] == bodies[name] for name in own.keys() & bodies.keys())
        names = {
            name: shared[name] if alike and name in shared else _free_name(name, used)
            for name in own
        }
        if alike:
            shared.update(names)
            bodies.update(own)
        rewrite = partial(_rewrite, names=names, dialect=dialect)
        definitions[root] = rewrite({key: schema[key] for key in schema if key != "$defs"})
        definitions.update((names[name], rewrite(body)) for name, body in own.items())
    return definitions


def _free_name(name: str, used: set[str]) -> str:
    """A name that OpenAPI allows and nobody has yet; it counts as used from now on."""
    allowed = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "_"
    free, number = allowed, 1
    while free in used:
        number += 1
        free = f"{allowed}_{number}"
    used.add(free)
    return free


def _rewrite(schema: Schema, *, names: Mapping[str, str], dialect: SchemaDialect) -> Any:
    moved = _move_references(schema, names, dialect.definitions)
    return moved if dialect is SchemaDialect.OPENAPI_3_1 else _reword(moved, dialect)


def _map_subschemas(schema: Mapping[str, Any], change: Callable[[Schema], Any]) -> dict[str, Any]:
    """A copy with each schema directly inside changed; values such as `default` stay."""
    changed = dict(schema)
    for keyword, value in schema.items():
        if keyword in _ONE_SCHEMA:
            changed[keyword] = change(value)
        elif keyword in _SCHEMA_LIST:
            changed[keyword] = [change(each) for each in value]
        elif keyword in _NAMED_SCHEMAS:
            changed[keyword] = {name: change(each) for name, each in value.items()}
    return changed


def _move_references(schema: Schema, names: Mapping[str, str], definitions: str) -> Any:
    if isinstance(schema, bool):
        return schema

    def move(reference: str) -> str:
        if not reference.startswith(_DEFINITION):
            return reference
        name, slash, rest = reference[len(_DEFINITION) :].partition("/")
        plain = unquote(name).replace("~1", "/").replace("~0", "~")
        return f"{definitions}{names[plain]}{slash}{rest}"

    moved = _map_subschemas(schema, partial(_move_references, names=names, definitions=definitions))
    if "$ref" in moved:
        moved["$ref"] = move(moved["$ref"])
    discriminator = moved.get("discriminator")
    if isinstance(discriminator, Mapping) and "mapping" in discriminator:
        mapping = {value: move(ref) for value, ref in discriminator["mapping"].items()}
        moved["discriminator"] = {**discriminator, "mapping": mapping}
    return moved


def _reword(schema: Schema, dialect: SchemaDialect) -> dict[str, Any]:
    """The schema in Swagger 2.0's or OpenAPI 3.0's words, as exactly as those allow."""
    if isinstance(schema, bool):
        return {} if schema or dialect is SchemaDialect.SWAGGER_2 else {"not": {}}
    draft = dict(schema)
    # Whatever allows more after rewording would make its negation allow less.
    draft.pop("not", None)
    _reword_values(draft)
    _reword_bounds(draft)
    _reword_tuple(draft)
    _reword_types(draft)
    takes_null = _take_null(draft)
    extra = draft.get("additionalProperties")
    reworded = _map_subschemas(draft, partial(_reword, dialect=dialect))
    if isinstance(extra, bool):
        reworded["additionalProperties"] = extra
    if len(reworded.get("anyOf", ())) == 1:
        _merge(reworded, reworded.pop("anyOf")[0])
    if takes_null:
        reworded[dialect.nullable] = True
    if dialect is SchemaDialect.SWAGGER_2:
        _reword_for_swagger_2(reworded)
    return _allowed(reworded, dialect)


def _reword_values(draft: dict[str, Any]) -> None:
    if "const" in draft:
        draft["enum"] = [draft.pop("const")]
    examples = draft.get("examples")
    if isinstance(examples, list) and examples:
        draft.setdefault("example", examples[0])
    if draft.get("contentEncoding") == "base64":
        draft.setdefault("format", "byte")


def _reword_bounds(draft: dict[str, Any]) -> None:
    """An exclusive bound is a flag beside the bound; of two bounds only the tighter can be said."""
    for limit, exclusive, tighter in (
        ("minimum", "exclusiveMinimum", max),
        ("maximum", "exclusiveMaximum", min),
    ):
        bound = draft.get(exclusive)
        if bound is None or isinstance(bound, bool):
            continue
        del draft[exclusive]
        if tighter(bound, draft.get(limit, bound)) == bound:
            draft |= {limit: bound, exclusive: True}


def _reword_tuple(draft: dict[str, Any]) -> None:
    """Items by position become items that may be any of them, in a list of the same length."""
    positions = draft.pop("prefixItems", [])
    rest = draft.get("items", True)
    if rest is False:
        draft["maxItems"] = min(len(positions), draft.get("maxItems", len(positions)))
    elif not positions:
        return
    kinds: list[Schema] = []
    closed = draft.get("maxItems", len(positions) + 1) <= len(positions)
    for kind in [*positions, *([] if closed else [rest])]:
        if kind not in kinds:
            kinds.append(kind)
    anything = not kinds or True in kinds or {} in kinds
    draft["items"] = {} if anything else {"anyOf": kinds}


def _reword_types(draft: dict[str, Any]) -> None:
    """A list of types and `oneOf` become `anyOf`, which stays true when its members allow more."""
    unions = [draft.pop(keyword) for keyword in ("anyOf", "oneOf") if keyword in draft]
    types = draft.get("type")
    if isinstance(types, list):
        del draft["type"]
        unions.append([{"type": name} for name in types])
    if unions:
        draft["anyOf"] = unions.pop(0)
    if unions:
        draft["allOf"] = [*draft.get("allOf", []), *({"anyOf": union} for union in unions)]


def _take_null(draft: dict[str, Any]) -> bool:
    """Whether the schema allows null; the alternative that says so is taken out."""
    if draft.get("type") == "null":
        del draft["type"]
        draft["enum"] = [None]
    union = draft.get("anyOf", [])
    others = [each for each in union if not _is_null(each)]
    takes_null = len(others) < len(union)
    if takes_null:
        draft["anyOf"] = others
        if not others:
            del draft["anyOf"]
            draft["enum"] = [None]
        elif "enum" in draft and None not in draft["enum"]:
            takes_null = False
    return takes_null or None in draft.get("enum", ())


def _is_null(schema: Schema) -> bool:
    if isinstance(schema, bool):
        return False
    only_null = ("const" in schema and schema["const"] is None) or schema.get("enum") == [None]
    return only_null or schema.get("type") in ("null", ["null"])


def _merge(reworded: dict[str, Any], alternative: Mapping[str, Any]) -> None:
    """Say in the schema itself what its only alternative says, or all of it as one more demand."""
    if "$ref" in alternative or reworded.keys() & alternative.keys():
        reworded["allOf"] = [*reworded.get("allOf", []), alternative]
    else:
        reworded.update(alternative)


def _reword_for_swagger_2(reworded: dict[str, Any]) -> None:
    """Without null and unions: say the type that a union has in common, the rest for people."""
    if reworded.get("default", True) is None:
        del reworded["default"]
    if "anyOf" not in reworded:
        return
    alternatives = reworded.pop("anyOf")
    reworded["x-anyOf"] = alternatives
    types = {alternative.get("type") for alternative in alternatives}
    if len(types) == 1 and None not in types:
        reworded.setdefault("type", types.pop())


def _allowed(reworded: Mapping[str, Any], dialect: SchemaDialect) -> dict[str, Any]:
    """The schema without what the dialect does not know, and with what it demands."""
    known = dialect.keywords | {dialect.nullable}
    allowed = {key: value for key, value in reworded.items() if key in known or key[:2] == "x-"}
    if not allowed.get("required", True):
        del allowed["required"]
    if allowed.get("type") == "array":
        allowed.setdefault("items", {})
    if None not in allowed.get("enum", [None]) and allowed.get(dialect.nullable) is True:
        allowed["enum"] = [*allowed["enum"], None]
    if "$ref" in allowed and len(allowed) > 1:
        reference = {"$ref": allowed.pop("$ref")}
        allowed["allOf"] = [reference, *allowed.get("allOf", [])]
    return allowed
