"""Would the API server take it? Kubernetes' own kinds by kubernetes-validate, others by `schemas/`; both are closed."""

from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

KUBERNETES = "1.34.0"
"""The version whose schemas hold."""

_SCHEMAS = Path(__file__).parent / "schemas"
_CORE = "https://kubernetes.io/api/_definitions.json"
_PREFIXES = {"meta.v1.": "io.k8s.apimachinery.pkg.apis.", "core.v1.": "io.k8s.api.", "networking.v1.": "io.k8s.api."}
_PLAIN = {"string", "integer", "number", "boolean"}


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with one document, each with its place; unknown fields are."""
    schema = _schemas().get(f"{document['apiVersion']}/{document['kind']}")
    if schema is not None:
        found = Draft202012Validator(schema, registry=_core()).iter_errors(document)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


@cache
def _core() -> Any:
    """The definitions of Kubernetes itself, which refuse unknown fields."""
    contents = schema_contents(f"kubernetes-json-schema/v{KUBERNETES}-local-strict/_definitions.json", KUBERNETES)
    return Resource.from_contents(contents) @ Registry()


@cache
def _schemas() -> dict[str, Any]:
    """`group/version/Kind` -> JSON schema."""
    found = {}
    for path in sorted(_SCHEMAS.glob("*.yaml")):
        said = yaml.safe_load(path.read_text())
        definitions = {name: _object(fields) for name, fields in said["types"].items()}
        for kind, name in said["kinds"].items():
            found[kind] = {"$ref": f"#/$defs/{name}", "$defs": definitions}
    return found


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    """A closed object."""
    return {
        "type": "object",
        "properties": {name.rstrip("!"): _type(said) for name, said in fields.items()},
        "required": [name.rstrip("!") for name in fields if name.endswith("!")],
        "additionalProperties": False,
    }


def _type(said: Any) -> dict[str, Any]:
    """A type as the tables in `schemas/` say it."""
    if isinstance(said, dict):
        return _object(said)
    if said in _PLAIN:
        return {"type": said}
    if said == "quantity":
        return {"type": ["string", "integer"]}
    if said.startswith("one of "):
        return {"enum": said.split()[2:]}
    if said.startswith("list of "):
        return {"type": "array", "items": _type(said.removeprefix("list of "))}
    if said.startswith("map of "):
        return {"type": "object", "additionalProperties": _type(said.removeprefix("map of "))}
    prefix = next((_PREFIXES[start] for start in _PREFIXES if said.startswith(start)), "")
    return {"$ref": f"{_CORE}#/$defs/{prefix}{said}" if prefix else f"#/$defs/{said}"}
