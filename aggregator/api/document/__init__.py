"""The API's document as others read it: what the blueprints declare, completed with problems, words and examples.

Written once for each process, when it is first asked for.
"""

import json
from collections.abc import Iterator
from typing import Any

from aggregator.api.document import words
from aggregator.api.document.events import webhooks
from aggregator.api.document.examples import BODIES
from aggregator.api.document.problems import add_problems

METHODS = ("get", "post", "put", "patch", "delete")


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with all that is said in it only once, and with each operation where a newcomer looks for it."""
    document["info"]["description"] = words.introduction()
    add_problems(document, list(operations(document)))
    for _, path, operation in operations(document):
        operation["tags"] = [words.tag_of(path, operation["tags"][0])]
        if operation["operationId"] in BODIES:
            content = operation["requestBody"]["content"]
            for media_type, example in BODIES[operation["operationId"]].items():
                content[media_type]["example"] = example
    document["tags"] = [{"name": name, "description": text} for name, text in words.TAGS.items()]
    document["webhooks"] = webhooks(document)
    _open_answers(document)
    words.describe(document)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All operations, with their methods and paths."""
    for path, item in document["paths"].items():
        yield from ((method, path, operation) for method, operation in item.items() if method in METHODS)


def _open_answers(document: dict[str, Any]) -> None:
    """Let answers have more members than they have today: a client that minds could never be served a new one.

    What a request may bring stays closed, so that a misspelt field is an error.
    """
    schemas = document["components"]["schemas"]
    bodies = [operation.get("requestBody", {}) for _, _, operation in operations(document)]
    closed = _named(bodies, schemas)
    for name, schema in schemas.items():
        if name not in closed:
            schema.pop("additionalProperties", None)
        elif not name.endswith("Patch"):  # in a change, what is not sent is not changed
            _say_defaults(schema)
        for described in schema.get("properties", {}).values():
            described.pop("default", None)


def _say_defaults(schema: dict[str, Any]) -> None:
    """Say in words what is taken for a member that is not sent.

    With `default`, generated clients send it themselves, or take the member for required.
    """
    for name, described in schema["properties"].items():
        if described.get("default") is not None:
            text = described.get("description", words.USUAL.get(name, ""))
            described["description"] = f"{text} Unless sent: `{json.dumps(described['default'])}`.".lstrip()


def _named(value: Any, schemas: dict[str, Any]) -> set[str]:
    """The names of the schemas that a value refers to, and of those that these refer to."""
    if isinstance(value, list):
        return set().union(*(_named(element, schemas) for element in value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*(_named(member, schemas) for member in value.values()))
    if isinstance(reference := value.get("$ref"), str):
        name = reference.rpartition("/")[2]
        found |= {name} | _named(schemas[name], schemas)
    return found
