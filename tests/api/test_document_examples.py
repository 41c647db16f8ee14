"""Each body that the document gives as an example can be sent as it is."""

from dataclasses import replace

import pytest

from aggregator.api.document.examples import BODIES
from aggregator.operations import MAY_CALL
from tests.documented import document
from tests.security.operations import operations
from tests.security.world import admins_world

# Where an example names something by a made-up id, or somebody who has not registered: what is said then.
REFUSED = {
    "login": "wrong_credentials",
    "confirm_email": "bad_mail_token",
    "create_alert": "reference_gone",
    "add_cart_item": "reference_gone",
    "create_order": "reference_gone",
    "update_order": "reference_gone",
}


def sent(app, name: str, media_type: str):
    """The answer to the example of an operation, by somebody who has all that it is about."""
    world = admins_world(app)
    (operation,) = [each for each in operations(app) if each.id == name]
    content = document(app)["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]
    example = content[media_type]["example"]
    call = world.call(replace(operation, query={}, text=False))
    token = None if not operation.needs_token else world.tokens(world.whose)["access_token"]
    body = {"data": example, "content_type": media_type} if isinstance(example, str) else {"json": example}
    return call.send(app.test_client(), token, **body)


@pytest.mark.parametrize(("name", "media_type"), [(name, kind) for name, kinds in BODIES.items() for kind in kinds])
def test_an_example_is_accepted_or_answered_with_a_documented_code(app, name, media_type):
    answer = sent(app, name, media_type)

    if name in REFUSED:
        assert answer.json["code"] == REFUSED[name]
    else:
        assert answer.status_code in (200, 201), answer.text
    if name == "import_products":
        assert (answer.json["added"], answer.json["rejected"]) == (1, 0)


def test_who_registers_with_the_example_signs_in_with_the_other(app, visitor):
    registered = visitor.post("/api/v1/auth/register", json=BODIES["register"]["application/json"])
    signed_in = visitor.post("/api/v1/auth/login", json=BODIES["login"]["application/json"])

    assert (registered.status_code, signed_in.status_code) == (201, 200)


def test_every_operation_that_takes_json_has_an_example(app):
    with_body = {operation.id for operation in operations(app) if operation.body is not None}

    assert with_body <= set(BODIES) <= set(MAY_CALL)
