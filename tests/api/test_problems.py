"""Errors: one shape for all of them, and nothing of our insides in it."""

import socket
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aggregator import errors
from aggregator.models import Product
from aggregator.services import catalog_list
from tests.builders import create, edit, make_product
from tests.documented import DocumentedClient

NOT_THERE = "/api/v1/products/00000000-0000-0000-0000-00000000000a"


@pytest.fixture
def fail(monkeypatch):
    """Let the list of products raise something, whether it is documented or not."""
    monkeypatch.setattr(DocumentedClient, "documented", False)

    def fail(error: Exception) -> None:
        def page(*args: object, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr(catalog_list, "page", page)

    return fail


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/api/v1/nowhere", {}, 404, "not_found"),
        ("GET", NOT_THERE, {}, 404, "not_found"),
        ("PUT", "/api/v1/offers", {}, 405, "method_not_allowed"),
        ("POST", "/healthz", {}, 405, "method_not_allowed"),
        ("POST", "/api/v1/products", {"data": b"{", "content_type": "application/json"}, 400, "malformed_body"),
        ("POST", "/api/v1/products", {"data": b"{}", "content_type": "text/x"}, 415, "unsupported_media_type"),
        ("POST", "/api/v1/products", {"json": {"name": ""}}, 422, "validation_failed"),
        ("GET", "/api/v1/products?page=0", {}, 422, "validation_failed"),
        ("GET", "/api/v1/products?sort=x", {}, 422, "validation_failed"),
        ("GET", "/api/v1/products?cursor=x", {}, 422, "invalid_cursor"),
        ("POST", "/api/v1/products", {"json": {"name": "x" * 2**20}}, 413, "body_too_large"),
    ],
)
def test_every_error_is_a_problem_with_a_code_and_the_id_of_its_request(client, method, path, options, status, code):
    response = client.open(path, method=method, headers={"X-Request-ID": "mine"}, **options)

    body = response.json
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert (body["code"], body["status"]) == (code, status)
    assert body["type"] == f"/docs/problems/{code.replace('_', '-')}"
    assert body["title"] == code.replace("_", " ").capitalize()
    assert body["request_id"] == response.headers["X-Request-ID"] == "mine"
    assert body.keys() <= {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert body["detail"]


def test_what_is_wrong_with_the_fields_is_in_errors(client):
    body = create(client, "").json

    assert body["detail"] == "The request is invalid; see errors."
    assert body["errors"] == {"json": {"name": ["Length must be between 1 and 255."]}}


def test_a_conflict_and_a_version_too_old_are_problems_too(app, client):
    taken = make_product(app, name="Lamp")

    conflict = create(client, "Lamp")
    too_old = client.delete(f"/api/v1/products/{taken}", headers={"If-Match": '"0"'})

    assert [r.content_type for r in (conflict, too_old)] == ["application/problem+json"] * 2
    assert [r.json["status"] for r in (conflict, too_old)] == [409, 412]
    assert [r.json["code"] for r in (conflict, too_old)] == ["name_taken", "version_conflict"]


def test_a_mistake_of_ours_is_a_500_without_details(client, fail, caplog):
    fail(RuntimeError("SELECT secret FROM /etc/passwd"))

    response = client.get("/api/v1/products", headers={"X-Request-ID": "mine"})

    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json == {
        "type": "/docs/problems/internal-error",
        "title": "Internal error",
        "status": 500,
        "code": "internal_error",
        "detail": "The server failed to answer the request.",
        "request_id": "mine",
    }
    assert "SELECT secret" in caplog.text


def unreachable(backend: str, tmp_path: Path) -> DBAPIError:
    """What the driver says of a database that is not there, at an address with a secret in it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"postgresql+psycopg2://secret@127.0.0.1:{unused.getsockname()[1]}/db"
        url = f"sqlite:///{tmp_path}/secret/db" if backend == "sqlite" else server
        with pytest.raises(DBAPIError) as raised:
            create_engine(url).connect()
    return raised.value


@pytest.mark.parametrize("busy", [True, False])
def test_trouble_with_the_database_is_a_503_that_says_when_to_come_back(client, backend, tmp_path, fail, busy):
    fail(PoolTimeoutError("pool at secret") if busy else unreachable(backend, tmp_path))

    response = client.get("/api/v1/products")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json["code"] == "database_unavailable"
    assert response.json["detail"] == "The service cannot answer just now. Try again in a moment."
    assert "secret" not in response.text
    assert "127.0.0.1" not in response.text


def broken(app, column: str, value: object) -> IntegrityError:
    """What the database says of two products that have the same, or of one that cannot be."""
    first, second = make_product(app, name="Lamp"), make_product(app)
    with pytest.raises(IntegrityError) as raised:
        edit(app, Product, Product.id == second, **{column: first if column == "id" else value})
    return raised.value


@pytest.mark.parametrize(
    ("column", "value", "status", "detail"),
    [
        ("name", "Lamp", 409, "There is a product with this name already."),
        ("id", None, 409, "There is a product with this id already."),
        ("stock", -1, 500, "The server failed to answer the request."),
    ],
)
def test_a_constraint_that_two_requests_break_is_a_conflict(app, client, fail, column, value, status, detail):
    fail(broken(app, column, value))

    response = client.get("/api/v1/products")

    assert (response.status_code, response.json["detail"]) == (status, detail)


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (errors.NotFound(), 404, "There is no such thing."),
        (errors.NameTaken(), 409, "There is a product with this name already."),
        (errors.EditedMeanwhile(), 412, "It has been changed since the version named in If-Match."),
        (errors.ValidationFailed(), 422, "The request is invalid; see errors."),
        (errors.ValidationFailed("Too blue.", {"json": {"colour": ["blue"]}}), 422, "Too blue."),
        (errors.Unavailable(), 503, "The service cannot answer just now. Try again in a moment."),
    ],
)
def test_each_error_of_a_service_has_its_status_and_its_docstring_is_the_message(client, fail, error, status, detail):
    fail(error)

    response = client.get("/api/v1/products")

    assert (response.status_code, response.json["detail"]) == (status, detail)
    assert response.json.get("errors") == error.extra.get("errors")


@pytest.mark.parametrize("error", [errors.InProgress(), errors.Unavailable()], ids=lambda error: type(error).__name__)
def test_what_passes_says_when_to_try_again(client, fail, error):
    fail(error)

    assert client.get("/api/v1/products").headers["Retry-After"] == "1"
