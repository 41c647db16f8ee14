"""Both generators make clients of the document, with their defaults, that compile and can do everything."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.engine import URL

from aggregator.clock import utcnow
from aggregator.models import Role
from aggregator.sandbox import Sandbox
from aggregator.services.passwords import hashed
from tests.builders import before, make_product, make_user, offer_id, sync
from tests.documented import document
from tests.scenarios.processes import PASSWORD, answers, environment, eventually, web

pytestmark = pytest.mark.evidence
HERE = Path(__file__).parent
NODE_CACHE = Path("/tmp/aggregator-generated-clients")  # `make clean` removes it
SEEN = {
    "registered": "ada",
    "created": "Oak chair",
    "created again": [409, "name_taken", "/docs/problems/name-taken"],
    "listed": ["Lamp", "Oak chair"],
    "offers": [900],
    "trend": 900,
    "cart": 1000,
    "order": ["placed", 1000, [2]],
    "alert": "below",
    "webhook": "whsec_",
    "signed out": 204,
    "afterwards": "token_revoked",
}


@pytest.fixture
def backend() -> str:
    return "sqlite"  # what is tried is the document


@pytest.fixture
def described(make_app: Callable[..., Flask], tmp_path: Path) -> Path:
    """The document in a file."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document(make_app())))
    return path


@pytest.fixture
def take_the_tour(
    make_app: Callable[..., Flask], database_url: URL, sandbox: Sandbox, tmp_path: Path
) -> Callable[[list[str]], Any]:
    """Runs a command with the URL of a shop, the id of a product with an offer, and a password; returns what it saw."""
    app = make_app()
    make_user(app, Role.ADMIN, username="boss", password_hash=hashed(PASSWORD))
    product_id = make_product(app, name="Lamp", price=500, stock=10)
    sync(app, product_id, {offer_id(1): (900, 1)}, before(utcnow(), hours=1))

    def take(command: list[str]) -> Any:
        with web(environment(database_url, sandbox.url), tmp_path / "web.log", workers=1) as shop:
            eventually(lambda: answers(shop.url))
            return json.loads(run([*command, shop.url, str(product_id), PASSWORD], tmp_path))

    return take


def run(command: list[str], directory: Path) -> str:
    """What a command prints, which must not fail."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=directory, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_client_takes_the_tour(described, take_the_tour, tmp_path):
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    made = run([*generate, "--path", str(described), "--output-path", str(tmp_path / "shop_client")], tmp_path)
    assert "warning" not in made.casefold(), made
    run([sys.executable, "-m", "compileall", "-q", "shop_client"], tmp_path)
    shutil.copy(HERE / "tour.py", tmp_path)

    assert take_the_tour([sys.executable, "tour.py"]) == SEEN


def test_the_typescript_client_takes_the_tour(described, take_the_tour, tmp_path):
    for name in ("tour.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules())
    commands = tmp_path / "node_modules" / ".bin"

    made = run([str(commands / "openapi-typescript"), str(described), "-o", "shop.d.ts"], tmp_path)
    assert "warn" not in made.casefold(), made
    run([str(commands / "tsc"), "--project", "."], tmp_path)

    assert take_the_tour(["node", "compiled/tour.js"]) == SEEN


def node_modules() -> Path:
    """Where the packages of package.json are, installed once; skips the test where that cannot be done."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} cannot be found")
    NODE_CACHE.mkdir(exist_ok=True)
    shutil.copy(HERE / "package.json", NODE_CACHE)
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--no-package-lock"]
    done = subprocess.run(install, cwd=NODE_CACHE, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install: {(done.stderr.strip() or '?').splitlines()[-1]}")
    return NODE_CACHE / "node_modules"
