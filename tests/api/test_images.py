"""Images of products over the API."""

import gc
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.api import problems
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Image, ImageBlob, ImageStatus, Product, Role, Variant
from aggregator.schemas.images import ImageSchema, ShownImageSchema
from tests.builders import LONG_AGO, edit, make_image, make_product, make_user, stored
from tests.conftest import signed_in
from tests.pictures import BAD_NAMES, BAD_PICTURES, BAD_TYPES, MIB, NOT_PICTURES, corners, picture, read

FORM = "multipart/form-data; boundary=x"
FOREVER = "public, max-age=31536000, immutable"


def form(file: bytes, name: str = "a.png", kind: str = "image/png") -> bytes:
    """A form with a file in it."""
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + file + b"\r\n--x--\r\n"


def upload(client: FlaskClient, product_id: UUID, file: bytes | None = None, **how: str) -> TestResponse:
    """The answer to the upload of a file."""
    data = form(picture() if file is None else file, **how)
    return client.post(f"/api/v1/products/{product_id}/images", data=data, content_type=FORM)


def make(app: Flask) -> object:
    """What the worker does with images."""
    with app.app_context():
        return run_job(JOBS["make-images"], Run())


def images_of(client: FlaskClient, product_id: UUID) -> list[dict]:
    return client.get(f"/api/v1/products/{product_id}").json["images"]


def ids(images: list[dict]) -> list[UUID]:
    return [UUID(image["id"]) for image in images]


class TestFromUploadToPicture:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_is_pending_then_made_and_shown(self, app, client, visitor, kind):
        product = make_product(app)

        created = upload(client, product, picture(1200, 800, kind), name=f"chair.{kind.lower()}")

        told = created.json
        path = f"/api/v1/images/{told['id']}"
        assert created.status_code == 201
        assert created.headers["Location"] == path
        assert told == {
            "id": told["id"],
            "product_id": str(product),
            "status": "pending",
            "reason": None,
            "url": path,
            "thumb_url": f"{path}-thumb",
            "full_url": f"{path}-full",
            "position": 1,
            "created_at": told["created_at"],
        }
        assert images_of(visitor, product) == []

        assert make(app) == {"made": 1}

        assert visitor.get(path).json == told | {"status": "ready"}
        assert images_of(visitor, product) == [{name: told[name] for name in ("id", "url", "thumb_url", "full_url")}]
        for size, url in (((100, 67), told["thumb_url"]), ((500, 333), told["full_url"])):
            image = read(visitor.get(url).data)
            assert (image.format, image.size, corners(image)) == ("WEBP", size, ["red", "green", "blue", "blue"])

    def test_any_type_that_says_nothing_else_and_any_name_will_do(self, app, client):
        product = make_product(app)

        for name, kind in (
            ("a.jpg", "image/png"),
            ("Stuhl ü.PNG", "application/octet-stream"),
            ("x" * 300, "image/jpg"),
        ):
            assert upload(client, product, name=name, kind=kind).status_code == 201

    def test_five_mebibytes_will_do(self, app, client):
        file = picture(kind="JPEG")

        assert upload(client, make_product(app), file + b"\0" * (5 * MIB - len(file))).status_code == 201

    def test_a_copy_goes_through_every_process(self, make_app, tmp_path):
        store = str(tmp_path / "images")
        apps = [make_app(image_store=store), make_app(image_store=store)]
        product = make_product(apps[0])
        admin = signed_in(apps[0], make_user(apps[0], Role.ADMIN))
        told = upload(admin, product).json

        assert make(apps[1]) == {"made": 1}

        assert read(apps[0].test_client().get(told["thumb_url"]).data).size == (24, 16)
        assert stored(apps[0], ImageBlob) == []
        assert sorted(file.name for file in Path(store).rglob("*-*")) == [
            f"{told['id']}-full",
            f"{told['id']}-thumb",
        ]


class TestRefused:
    def _came_to(self, client: FlaskClient, product: UUID, file: bytes, **how: str) -> object:
        for _ in range(3):  # somebody else may have had the processor
            begun = time.perf_counter()
            status = upload(client, product, file, **how).status_code
            if (took := time.perf_counter() - begun) < 1:
                return status
        return f"{took:.1f} s"

    def test_what_is_no_picture_is_a_415_in_less_than_a_second(self, app, client):
        product = make_product(app)

        found = {name: self._came_to(client, product, file()) for name, file in NOT_PICTURES.items()}

        assert found == dict.fromkeys(NOT_PICTURES, 415)
        assert stored(app, Image) == stored(app, ImageBlob) == []

    def test_what_cannot_be_shown_is_a_422_in_less_than_a_second(self, app, client):
        product = make_product(app)

        found = {name: self._came_to(client, product, file()) for name, file in BAD_PICTURES.items()}

        assert found == dict.fromkeys(BAD_PICTURES, 422)
        assert stored(app, Image) == stored(app, ImageBlob) == []

    @pytest.mark.parametrize(("name", "kind"), [*((n, "image/png") for n in BAD_NAMES), *(("a", k) for k in BAD_TYPES)])
    def test_a_name_with_a_path_or_a_type_of_something_else_is_a_422_as_quickly(self, app, client, name, kind):
        product = make_product(app)

        assert self._came_to(client, product, picture(), name=name, kind=kind) == 422
        answer = upload(client, product, name=name, kind=kind)
        assert answer.json["errors"]["files"].keys() == {"image"}
        assert stored(app, Image) == []

    def test_says_what_is_wrong(self, app, client):
        product = make_product(app)

        assert upload(client, product, b"<svg/>").json["detail"] == "Send a JPEG, a PNG or a WebP."
        told = upload(client, product, BAD_PICTURES["9000x9000 PNG of 10 KB"]()).json
        assert told["errors"] == {"files": {"image": ["It has more than 25 million pixels."]}}

    @pytest.mark.parametrize("more", [1, 64 * 1024, 10 * MIB])
    def test_more_than_five_mebibytes_are_a_413(self, app, client, more):
        file = picture(kind="JPEG")

        answer = upload(client, make_product(app), file + b"\0" * (5 * MIB - len(file) + more))

        assert answer.status_code == 413
        assert stored(app, Image) == []

    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_in_chunks_too(self, app, client):
        chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

        answer = client.post(
            f"/api/v1/products/{make_product(app)}/images",
            environ_overrides={
                "wsgi.input": io.BytesIO(form(picture() + b"\0" * 20 * MIB)),
                "CONTENT_TYPE": FORM,
                **chunked,
            },
        )

        assert answer.status_code == 413
        gc.collect()  # what has been read by then lies in a file that is left to it

    @pytest.mark.parametrize(
        ("data", "errors"),
        [
            ({}, {"image": ["Missing data for required field."]}),
            ({"image": "a text"}, {"image": ["Not a file."]}),
            ({"photo": (io.BytesIO(b"x"), "a")}, {"photo": ["Unknown field."]}),
            ({"image": [(io.BytesIO(b"x"), "a"), (io.BytesIO(b"x"), "b")]}, {"image": ["Only one."]}),
            ({"image": (io.BytesIO(b"x"), "a"), "role": "admin"}, {"role": ["Unknown field."]}),
        ],
    )
    def test_a_form_of_something_else_is_a_422_that_names_it(self, app, client, data, errors):
        if not data:
            data, options = b"--x--\r\n", {"content_type": FORM}
        else:
            data = {name: _again(value) for name, value in data.items()}
            options = {"content_type": "multipart/form-data"}

        answer = client.post(f"/api/v1/products/{make_product(app)}/images", data=data, **options)

        assert answer.status_code == 422
        assert answer.json["errors"] == {"files": errors}

    @pytest.mark.parametrize("content_type", ["application/json", "image/png", "application/x-www-form-urlencoded", ""])
    def test_what_is_no_form_with_files_is_a_415(self, app, client, content_type):
        url = f"/api/v1/products/{make_product(app)}/images"

        assert client.post(url, data=picture(), content_type=content_type).status_code == 415

    @pytest.mark.parametrize(
        "body", [b"", b"x", b"--x", b"--x\r\n\r\n", b"--y\r\nContent-Disposition: form-data\r\n\r\n"]
    )
    def test_a_form_that_makes_no_sense_is_a_4xx(self, app, client, body):
        url = f"/api/v1/products/{make_product(app)}/images"

        answers = [
            client.post(url, data=body, content_type=f"multipart/form-data{boundary}")
            for boundary in ("; boundary=x", "")
        ]

        assert {answer.status_code for answer in answers} <= {400, 415, 422}

    def test_ten_thousand_parts_are_a_413(self, app, client):
        part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
        url = f"/api/v1/products/{make_product(app)}/images"

        answer = client.post(url, data=part * 10_000, content_type=FORM)

        assert answer.status_code == 413

    def test_the_eleventh_is_a_409(self, app, client):
        product = make_product(app)
        for _ in range(10):
            make_image(app, product, {})

        assert upload(client, product).status_code == 409

    def test_of_a_product_that_is_not_there_is_a_404(self, app, client):
        for product in (uuid4(), make_product(app, deleted_at=LONG_AGO)):
            assert upload(client, product).status_code == 404
            assert client.get(f"/api/v1/products/{product}/images").status_code == 404

    def test_a_store_that_is_away_is_a_503(self, make_app, tmp_path):
        (tmp_path / "images").write_text("a file")
        app = make_app(image_store=str(tmp_path / "images"))

        answer = upload(signed_in(app, make_user(app, Role.ADMIN)), make_product(app))

        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


class TestPicture:
    @pytest.fixture
    def image_id(self, app) -> UUID:
        return make_image(app, make_product(app), {Variant.THUMB: b"small", Variant.FULL: b"large"})

    @pytest.mark.parametrize(("variant", "content"), [("thumb", b"small"), ("full", b"large")])
    def test_may_be_kept_forever_and_is_nothing_but_a_picture(self, visitor, image_id, variant, content):
        answer = visitor.get(f"/api/v1/images/{image_id}-{variant}")

        assert (answer.status_code, answer.data, answer.content_type) == (200, content, "image/webp")
        expected = {
            "ETag": f'"{image_id}-{variant}"',
            "Cache-Control": FOREVER,
            "Content-Disposition": f'inline; filename="{image_id}-{variant}.webp"',
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        }
        assert {name: answer.headers[name] for name in expected} == expected

    def test_that_one_has_is_a_304(self, visitor, image_id):
        url = f"/api/v1/images/{image_id}-thumb"
        tag = visitor.get(url).headers["ETag"]

        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = visitor.get(url, headers={"If-None-Match": known})
            assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
            assert answer.headers["Cache-Control"] == FOREVER
        assert visitor.get(url, headers={"If-None-Match": f'"{image_id}-full"'}).status_code == 200

    def test_that_is_being_made_is_a_404_that_says_so_and_is_not_kept(self, app, visitor, image_id):
        edit(app, Image, status=ImageStatus.PENDING)

        for headers in ({}, {"If-None-Match": "*"}):
            answer = visitor.get(f"/api/v1/images/{image_id}-thumb", headers=headers)
            assert (answer.status_code, answer.headers["Retry-After"]) == (404, "1")
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.json["detail"] == "It is being made, and will be there in a moment."

    def test_that_has_failed_is_a_404_with_the_reason(self, app, visitor, image_id):
        edit(app, Image, status=ImageStatus.FAILED, error="It takes too long.")

        answer = visitor.get(f"/api/v1/images/{image_id}-full")

        assert (answer.status_code, answer.json["detail"]) == (404, "It cannot be shown. It takes too long.")
        assert "Retry-After" not in answer.headers
        assert visitor.get(f"/api/v1/images/{image_id}").json["reason"] == "It takes too long."

    def test_of_a_deleted_product_is_a_404(self, app, client, visitor, image_id):
        (product,) = stored(app, Product)
        client.delete(f"/api/v1/products/{product.id}")

        for suffix in ("", "-thumb", "-full"):
            answer = visitor.get(f"/api/v1/images/{image_id}{suffix}", headers={"If-None-Match": "*"})
            assert answer.status_code == 404
        assert client.patch(f"/api/v1/images/{image_id}", json={"position": 1}).status_code == 404
        assert client.delete(f"/api/v1/images/{image_id}").status_code == 404

    @pytest.mark.parametrize("suffix", ["-original", "-", "-thumb-full", "-THUMB", ".webp"])
    def test_there_are_no_other_sizes(self, visitor, image_id, suffix):
        assert visitor.get(f"/api/v1/images/{image_id}{suffix}").status_code == 404


class TestOfAProduct:
    def test_all_are_listed_in_their_order_and_the_product_shows_those_that_are_ready(self, app, visitor):
        product = make_product(app)
        second, first = make_image(app, product, position=2), make_image(app, product, position=1)
        pending = make_image(app, product, {}, status=ImageStatus.PENDING)
        failed = make_image(app, product, {}, status=ImageStatus.FAILED, error="It is animated.")
        make_image(app, make_product(app))

        answer = visitor.get(f"/api/v1/products/{product}/images")

        assert ids(answer.json) == [first, second, pending, failed]
        assert ids(images_of(visitor, product)) == [first, second]
        listed = {each["id"]: each for each in visitor.get("/api/v1/products").json}
        assert ids(listed[str(product)]["images"]) == [first, second]
        tag = answer.headers["ETag"]
        assert visitor.get(f"/api/v1/products/{product}/images", headers={"If-None-Match": tag}).status_code == 304

    def test_are_written_as_their_schemas_say(self, app, visitor):
        product = make_product(app)
        image_id = make_image(app, product)
        url = f"/api/v1/images/{image_id}"
        urls = {"url": url, "thumb_url": f"{url}-thumb", "full_url": f"{url}-full"}
        (image,) = stored(app, Image)
        fields = {name: getattr(image, name) for name in ("id", "product_id", "status", "position", "created_at")}

        told = visitor.get(url).json
        assert told == ImageSchema().dump(fields | urls | {"reason": None})
        assert list(told) == list(ImageSchema().fields)
        assert visitor.get(f"/api/v1/products/{product}/images").json == [told]
        (shown,) = images_of(visitor, product)
        assert shown == ShownImageSchema().dump({"id": image_id} | urls)
        assert list(shown) == list(ShownImageSchema().fields)

    def test_a_product_that_never_had_any_shows_none(self, app, visitor):
        product = make_product(app)

        assert images_of(visitor, product) == visitor.get(f"/api/v1/products/{product}/images").json == []


class TestTheProductsTag:
    def _tag(self, client: FlaskClient, product: UUID) -> str:
        return client.get(f"/api/v1/products/{product}").headers["ETag"]

    def test_is_another_whenever_its_images_are(self, app, client):
        product = make_product(app)
        tags = [self._tag(client, product)]

        images = [upload(client, product).json for _ in range(2)]
        tags.append(self._tag(client, product))
        make(app)
        tags.append(self._tag(client, product))
        client.patch(images[1]["url"], json={"position": 1})
        tags.append(self._tag(client, product))
        client.delete(images[0]["url"])
        tags.append(self._tag(client, product))

        assert len(set(tags)) == 5
        for tag in tags[:-1]:
            answer = client.get(f"/api/v1/products/{product}", headers={"If-None-Match": tag})
            assert answer.status_code == 200

    def test_an_editor_who_has_it_from_before_may_still_edit(self, app, client):
        product = make_product(app)
        tag = self._tag(client, product)
        upload(client, product)
        make(app)

        answer = client.patch(f"/api/v1/products/{product}", json={"brand": "Aurelo"}, headers={"If-Match": tag})

        assert answer.status_code == 200


class TestMove:
    def test_the_others_make_room(self, app, client):
        product = make_product(app)
        a, b, c = (make_image(app, product) for _ in range(3))

        moved = client.patch(f"/api/v1/images/{c}", json={"position": 1})

        assert (moved.status_code, moved.json["position"]) == (200, 1)
        assert ids(images_of(client, product)) == [c, a, b]
        client.patch(f"/api/v1/images/{c}", json={"position": 2})
        assert ids(images_of(client, product)) == [a, c, b]
        client.patch(f"/api/v1/images/{a}", json={"position": 10})
        assert ids(images_of(client, product)) == [c, b, a]
        listed = client.get(f"/api/v1/products/{product}/images").json
        assert [image["position"] for image in listed] == [1, 2, 3]

    @pytest.mark.parametrize("body", [{}, {"position": 0}, {"position": 11}, {"position": "1"}, {"status": "ready"}])
    def test_to_a_place_that_there_is_not_is_a_422(self, app, client, body):
        image_id = make_image(app, make_product(app))

        assert client.patch(f"/api/v1/images/{image_id}", json=body).status_code == 422

    def test_many_at_once_keep_places_of_their_own(self, app, client):
        product = make_product(app)
        images = [make_image(app, product) for _ in range(5)]

        def move(number: int) -> int:
            return client.patch(f"/api/v1/images/{images[number % 5]}", json={"position": number % 4 + 1}).status_code

        with ThreadPoolExecutor(8) as threads:
            statuses = set(threads.map(move, range(24)))

        assert statuses == {200}
        assert sorted(image.position for image in stored(app, Image)) == [1, 2, 3, 4, 5]


class TestDelete:
    def test_it_is_gone_and_the_others_move_up(self, app, client):
        product = make_product(app)
        a, b, c = (make_image(app, product) for _ in range(3))

        assert client.delete(f"/api/v1/images/{b}").status_code == 204

        assert ids(images_of(client, product)) == [a, c]
        assert [image.position for image in sorted(stored(app, Image), key=lambda i: i.position)] == [1, 2]
        assert {blob.image_id for blob in stored(app, ImageBlob)} == {a, c}
        for suffix in ("", "-thumb", "-full"):
            assert client.get(f"/api/v1/images/{b}{suffix}").status_code == 404
        assert client.delete(f"/api/v1/images/{b}").status_code == 404

    def test_there_is_room_for_another_one(self, app, client):
        product = make_product(app)
        images = [make_image(app, product, {}) for _ in range(10)]
        client.delete(f"/api/v1/images/{images[0]}")

        assert upload(client, product).json["position"] == 10


def test_the_document_says_how_a_picture_is_sent(client):
    operation = client.get("/openapi.json").json["paths"]["/api/v1/products/{product_id}/images"]["post"]

    content = operation["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]
    assert re.fullmatch("#/components/schemas/.+", content["multipart/form-data"]["schema"]["$ref"])
    assert {"201", "400", "401", "403", "404", "409", "413", "415", "422"} <= operation["responses"].keys()
    assert problems.PROBLEM_JSON in operation["responses"]["413"]["content"]


def _again(value: object) -> object:
    """A file that has not been read yet."""
    if isinstance(value, list):
        return [_again(each) for each in value]
    return (io.BytesIO(b"x"), value[1]) if isinstance(value, tuple) else value
