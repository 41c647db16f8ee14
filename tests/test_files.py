"""The files at the top: they name what there is, and nothing of the machine they were made on."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from aggregator.config import TABLE
from aggregator.config.__main__ import example as example_of_the_table

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ["requirements.txt", "requirements-s3.txt", "requirements-dev.txt"]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())


def settings_read() -> set[str]:
    """The names of all settings."""
    return set(TABLE)


def example() -> list[str]:
    return (ROOT / ".env.example").read_text().splitlines()


def dockerfile(instruction: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in DOCKERFILE.splitlines() if line.startswith(f"{instruction} ")]


def commands() -> list[tuple[str, list[str]]]:
    """Every command that a platform is told to run, and who tells it."""
    found = [(f"Procfile {name}", shlex.split(command)) for name, command in PROCFILE.items()]
    found += [("Dockerfile", json.loads(command)) for command in dockerfile("CMD")]
    for name, service in COMPOSE["services"].items():
        found += [(f"compose {name}", service["command"])] if "command" in service else []
        if name != "postgres" and "test" in service.get("healthcheck", {}):
            found.append((f"compose {name} healthcheck", service["healthcheck"]["test"][1:]))
    return found


class TestEnvExample:
    def test_names_exactly_the_settings_that_are_read(self):
        named = [line.partition("=")[0] for line in example() if re.match("[A-Z_]+=", line)]

        assert named == list(TABLE)

    def test_is_what_the_table_says(self):
        assert (ROOT / ".env.example").read_text() == example_of_the_table()

    def test_says_of_each_what_it_is_and_sets_none(self):
        lines = example()
        for before, line in pairwise(lines):
            if not line.startswith("#") and line:
                assert re.fullmatch("[A-Z_]+=", line)
                assert before.startswith("# ")

    def test_copied_as_it_is_changes_nothing(self, tmp_path):
        program = "from aggregator import config; print(config.from_environment(dotenv=False))"
        bare = {name: value for name, value in os.environ.items() if name not in settings_read()}
        empty = {line.partition("=")[0]: "" for line in example() if line.endswith("=")}
        seen = [
            subprocess.run([sys.executable, "-c", program], env=bare | more, cwd=ROOT, capture_output=True, check=True)
            for more in ({}, empty)
        ]

        assert seen[0].stdout == seen[1].stdout != b""


class TestRequirements:
    @pytest.mark.parametrize("name", REQUIREMENTS)
    def test_name_no_host_and_no_path(self, name):
        text = (ROOT / name).read_text()

        assert re.findall(r"\w+://|--\w*index|--find-links|--trusted-host|(?:^|\s)/\w", text) == []

    @pytest.mark.parametrize("name", REQUIREMENTS)
    def test_pin_all_that_is_asked_for(self, name):
        asked = re.findall(r"^(\w[\w-]*)", (ROOT / name.replace(".txt", ".in")).read_text(), re.MULTILINE)
        pinned = re.findall(r"^([\w-]+)==\S+", (ROOT / name).read_text(), re.MULTILINE)

        assert {package.lower() for package in asked} <= set(pinned)

    def test_agree_with_each_other(self):
        pins = [set(re.findall(r"^[\w-]+==\S+", (ROOT / name).read_text(), re.MULTILINE)) for name in REQUIREMENTS]

        assert pins[0] | pins[1] <= pins[2]

    @pytest.mark.parametrize("name", REQUIREMENTS)
    def test_are_compiled_with_the_oldest_python(self, name):
        # A newer one would leave out what only the oldest needs.
        oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")

        assert f"by pip-compile with Python {oldest}\n" in (ROOT / name).read_text()


class TestCommands:
    @pytest.mark.parametrize(("teller", "command"), commands(), ids=lambda value: value if type(value) is str else "")
    def test_name_what_there_is(self, teller, command):
        match command:
            case ["python", "-m", module, *_]:
                assert (ROOT / module.replace(".", "/") / "__main__.py").exists()
            case ["python", script, *_]:
                assert (ROOT / script).exists()
            case ["gunicorn", "wsgi:app"] | ["flask", "--app", "wsgi", "db", "upgrade"]:
                assert (ROOT / "wsgi.py").exists()
            case _:
                pytest.fail(f"{teller} says {command}, which nobody has heard of")

    def test_procfile_has_the_three_processes(self):
        assert list(PROCFILE) == ["release", "web", "worker"]

    def test_compose_and_procfile_say_the_same(self):
        services = COMPOSE["services"]

        assert shlex.join(services["migrate"]["command"]) == PROCFILE["release"]
        assert shlex.join(services["worker"]["command"]) == PROCFILE["worker"]
        assert shlex.join(json.loads(dockerfile("CMD")[0])) == PROCFILE["web"]


class TestImage:
    def test_does_not_run_as_root(self):
        (user,) = dockerfile("USER")

        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)

    def test_takes_in_only_what_is_let_in_by_name(self):
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
        let_in = [line[1:] for line in lines if line.startswith("!")]

        assert lines[0] == "*"
        assert [name for name in let_in if not (ROOT / name).exists()] == []
        assert {"aggregator/", "migrations/", "gunicorn.conf.py", "wsgi.py", "worker.py"} <= set(let_in)

    def test_healthcheck_is_python_that_compiles(self):
        (check,) = dockerfile("HEALTHCHECK")
        command = json.loads(check[check.index("[") :])

        assert command[:2] == ["python", "-c"]
        compile(command[2], "healthcheck", "exec")
        assert "/healthz" in command[2]


class TestCompose:
    def test_hands_on_every_setting_to_the_web(self):
        handed_on = set(COMPOSE["services"]["web"]["environment"])

        assert settings_read() - {"HOST", "PORT"} == handed_on

    def test_needs_no_environment(self):
        required = re.findall(r"\$\{\w+(?![\w:])[^}]*\}|\$\{\w+:\?", (ROOT / "docker-compose.yml").read_text())

        assert required == []

    def test_what_is_for_development_only_is_refused_in_production(self):
        given = {name: value for name, value in COMPOSE["x-settings"].items() if value}
        defaults = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}
        bare = {name: value for name, value in os.environ.items() if name not in settings_read()}
        refused = subprocess.run(
            [sys.executable, "-c", "from aggregator.config import from_environment; from_environment(dotenv=False)"],
            env=bare | defaults | {"APP_ENV": "production"},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

        for name, value in defaults.items():
            if "development-only" in value or value == "sandbox-refresh-token":
                assert f"  {name}: " in refused.stderr
                assert value not in refused.stderr
        assert {"DATABASE_URL", "SECRET_KEY", "JWT_SECRET_KEY", "OFFERS_REFRESH_TOKEN"} <= defaults.keys()

    def test_migrates_before_anybody_works(self):
        services = COMPOSE["services"]

        assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        for name in ("web", "worker"):
            assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


class TestHeroku:
    def test_generates_the_secrets_and_names_only_settings(self):
        environment = json.loads((ROOT / "app.json").read_text())["env"]

        assert set(environment) <= settings_read()
        assert environment["SECRET_KEY"]["generator"] == environment["JWT_SECRET_KEY"]["generator"] == "secret"

    def test_runs_what_the_procfile_has(self):
        assert set(json.loads((ROOT / "app.json").read_text())["formation"]) <= set(PROCFILE)

    def test_python_is_one_that_we_support(self):
        assert re.fullmatch(r"3\.1[1-9]\n", (ROOT / ".python-version").read_text())
