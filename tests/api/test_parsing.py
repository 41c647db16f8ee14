"""What the document says of every operation without being told."""

import pytest


@pytest.fixture
def backend() -> str:
    return "sqlite"  # the document comes from the code alone


@pytest.fixture
def operations(visitor) -> dict[str, dict]:
    """The operations of the document by their ids."""
    paths = visitor.get("/openapi.json").json["paths"].values()
    return {
        operation["operationId"]: operation
        for methods in paths
        for name, operation in methods.items()
        if name != "parameters"
    }


def answers(operations: dict[str, dict], status: str) -> dict[str, dict]:
    """The answers of a status, by the operations that have one."""
    return {name: o["responses"][status] for name, o in operations.items() if status in o["responses"]}


@pytest.mark.parametrize("status", ["400", "413", "415"])
def test_what_takes_a_body_says_how_it_cannot_be_read(operations, status):
    assert set(answers(operations, status)) == {name for name, o in operations.items() if "requestBody" in o}


@pytest.mark.parametrize(("status", "header"), [("401", "WWW-Authenticate"), ("429", "Retry-After")])
def test_the_headers_of_an_error_are_promised(operations, status, header):
    for name, answer in answers(operations, status).items():
        assert answer["headers"][header]["required"] is True, name


def test_links_lead_to_operations_that_there_are(operations):
    links = {
        (name, link["operationId"])
        for name, operation in operations.items()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }

    assert links >= {("create_product", "get_product"), ("register", "login")}
    assert {target for _, target in links} <= set(operations)
