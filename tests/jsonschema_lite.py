"""As much of JSON Schema as pydantic's output uses, to hold values against it.

It refuses to pass over a keyword that it does not know.
"""

import re

_KNOWN = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum",
    "exclusiveMinimum", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength",
    "minimum", "oneOf", "discriminator", "pattern", "properties", "required", "title", "type",
    "propertyNames", "minProperties", "maxProperties", "examples", "$schema", "$id", "uniqueItems",
    "exclusiveMaximum", "prefixItems", "format",
}  # fmt: skip
_TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}  # fmt: skip


def faults(schema, value):
    """Where a value does not fit; empty when it does."""
    return list(_faults(schema, schema, value, "$"))


def _faults(root, schema, value, at):
    if schema is True:
        return
    assert set(schema) <= _KNOWN, f"unknown keywords {set(schema) - _KNOWN}"
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from _faults(root, target, value, at)
    for word in ("anyOf", "oneOf"):
        fits = [s for s in schema.get(word, ()) if not list(_faults(root, s, value, at))]
        if word in schema and not fits:
            yield f"{at}: fits none of {word}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: {type(value).__name__}, expected {schema['type']}"
        return
    yield from _scalars(schema, value, at)
    yield from _parts(root, schema, value, at)


def _is(value, kind):
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _scalars(schema, value, at):
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: not one of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: not {schema['const']!r}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{at}: does not match {schema['pattern']}"
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        yield f"{at}: too short"
    if isinstance(value, int | float):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield f"{at}: out of range"
        if value <= schema.get("exclusiveMinimum", value - 1):
            yield f"{at}: out of range"


def _parts(root, schema, value, at):
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{at}: too few"
        for number, item in enumerate(value):
            yield from _faults(root, schema.get("items", True), item, f"{at}[{number}]")
    if isinstance(value, dict):
        yield from (f"{at}.{k}: missing" for k in schema.get("required", ()) if k not in value)
        for key, item in value.items():
            inside = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
            if inside is False:
                yield f"{at}.{key}: unexpected"
            else:
                yield from _faults(root, inside, item, f"{at}.{key}")
