"""Settings from the environment: what is missing or wrong is named all at once, and no value ever is."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex, token_urlsafe

import pytest

from aggregator import config
from aggregator.config import TABLE, addresses, development, from_environment, normalized_database_url, readers
from aggregator.errors import UsageError

GOOD = {
    "APP_ENV": "production",
    "SECRET_KEY": "s3cr3t-Kq8vXw2ZtY7uBn4mLp9rDf6gHj1a",
    "JWT_SECRET_KEY": "an0th3r-Wz5xCv8bNm2qEr4tYu7iOp9aSd",
    "OFFERS_BASE_URL": "https://offers.example",
    "OFFERS_REFRESH_TOKEN": "r3fr3sh",
    "DATABASE_URL": "postgres://user:hunter2@db.example/shop",
}
NAMES = {*TABLE, "DYNO", "FLASK_DEBUG", "FLASK_SKIP_DOTENV"}

WHOLE_NUMBERS = [name for name in TABLE if type(getattr(config.Settings, name.lower(), "")) is int]
INSTALLED = Path(__file__).resolve().parents[1]
# A process that is told directories, and when to ask for the secret of each.
ASK_FOR_SECRETS = """
import sys
from pathlib import Path
from aggregator.config import development
print("ready", flush=True)
sys.stdin.readline()
for directory in sys.argv[1:]:
    development.ROOT = Path(directory)
    print(development.development_secret("secret_key"))
"""


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """No setting is made; and whatever is, ends with the test."""
    saved = dict(os.environ)
    for name in NAMES:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(saved)


def settings(**values: str) -> config.Settings:
    os.environ.update(values)
    return from_environment(dotenv=False)


def problems(**values: str) -> list[str]:
    """The names of the settings that are found to be wrong."""
    with pytest.raises(UsageError) as refusal:
        settings(**values)
    first, *lines = refusal.value.detail.splitlines()
    assert first == "The settings are not right:"
    return [line.strip().partition(":")[0] for line in lines]


class TestDevelopment:
    def test_nothing_has_to_be_set(self):
        found = settings()

        assert str(found.database_url) == f"sqlite:///{development.ROOT}/instance/aggregator.db"
        assert (found.offers.base_url, found.offers.refresh_token) == (
            "http://127.0.0.1:8001/api/v1",
            "sandbox-refresh-token",
        )
        assert (found.app_env, found.log_format, found.timezone, found.currency) == (
            "development",
            "text",
            "UTC",
            "EUR",
        )
        assert (found.sync_interval_seconds, found.sync_concurrency, found.db_pool_size) == (60, 32, 2)

    def test_all_of_it_can_be(self):
        found = settings(
            OFFERS_BASE_URL="http://offers.example/api/v1/",
            OFFERS_REFRESH_TOKEN="r",
            SYNC_INTERVAL_SECONDS="0.5",
            SYNC_CONCURRENCY="8",
            TIMEZONE="Europe/Prague",
            CURRENCY="CZK",
            LOG_FORMAT="json",
            DB_POOL_SIZE="9",
            SENTRY_DSN="https://key@sentry.example/1",
        )

        assert (found.offers.base_url, found.offers.refresh_token) == ("http://offers.example/api/v1", "r")
        assert (found.sync_interval_seconds, found.sync_concurrency, found.db_pool_size) == (0.5, 8, 9)
        assert (found.timezone, found.currency, found.log_format) == ("Europe/Prague", "CZK", "json")

    def test_a_name_with_nothing_behind_it_is_not_set(self):
        found = settings(**dict.fromkeys(NAMES, "") | {"CURRENCY": " "})

        assert found.currency == "EUR"
        assert found.offers.base_url == "http://127.0.0.1:8001/api/v1"
        assert found.database_url.get_backend_name() == "sqlite"

    def test_without_a_refresh_token_the_service_is_of_the_first_generation(self):
        found = settings(OFFERS_BASE_URL="http://offers.example", OFFERS_ACCESS_TOKEN="permanent")

        assert (found.offers.refresh_token, found.offers.access_token) == (None, "permanent")

    def test_dotenv_is_read_and_the_environment_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.setattr(development, "ROOT", tmp_path)
        (tmp_path / ".env").write_text("CURRENCY=CZK\nTIMEZONE=Europe/Prague\nSENTRY_DSN=\n")
        os.environ["TIMEZONE"] = "Europe/Berlin"

        found = from_environment()

        assert (found.currency, found.timezone, found.sentry_dsn) == ("CZK", "Europe/Berlin", "")

    def test_in_production_dotenv_means_the_same(self, tmp_path, monkeypatch):
        monkeypatch.setattr(development, "ROOT", tmp_path)
        (tmp_path / ".env").write_text("CURRENCY=CZK\n")
        os.environ.update(GOOD)

        assert from_environment().currency == "CZK"


class TestWrongSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("APP_ENV", "prod"),
            ("DATABASE_URL", "nonsense"),
            ("DATABASE_URL", "mysql://u:hunter2@db/shop"),
            ("DATABASE_URL", "postgresql://u:hunter2@db:port/shop"),
            ("OFFERS_BASE_URL", "offers.example"),
            ("OFFERS_BASE_URL", "ftp://hunter2@offers.example"),
            ("SYNC_INTERVAL_SECONDS", "soon"),
            ("SYNC_INTERVAL_SECONDS", "0"),
            ("SYNC_INTERVAL_SECONDS", "-5"),
            ("SYNC_INTERVAL_SECONDS", "nan"),
            ("SYNC_CONCURRENCY", "0"),
            ("SYNC_CONCURRENCY", "1.5"),
            ("SYNC_CONCURRENCY", "10000"),
            ("TIMEZONE", "Prague"),
            ("TIMEZONE", "../../etc/passwd"),
            ("TIMEZONE", "/etc/localtime"),
            ("CURRENCY", "euro"),
            ("CURRENCY", "eur"),
            ("LOG_FORMAT", "xml"),
            ("DB_POOL_SIZE", "0"),
            ("ACCESS_TOKEN_SECONDS", "9"),
            ("ACCESS_TOKEN_SECONDS", "86401"),
            ("ACCESS_TOKEN_SECONDS", "5m"),
            ("REFRESH_TOKEN_SECONDS", "59"),
            ("REFRESH_TOKEN_SECONDS", "31536001"),
            ("REFRESH_TOKEN_SECONDS", "-1"),
            ("LOGINS_PER_ADDRESS", "0"),
            ("LOGINS_PER_ADDRESS", "many"),
            ("LOGINS_PER_ACCOUNT", "0"),
            ("LOGINS_PER_ACCOUNT", "1.5"),
            ("REGISTRATIONS_PER_ADDRESS", "0"),
            ("REGISTRATIONS_PER_ADDRESS", "1000001"),
            ("TRUSTED_PROXIES", "-1"),
            ("TRUSTED_PROXIES", "6"),
            ("TRUSTED_PROXIES", "yes"),
            ("REDIS_URL", "localhost:6379"),
            ("REDIS_URL", "http://localhost:6379"),
            ("REDIS_URL", "redis://"),
            ("REDIS_URL", "redis://:hunter2@localhost:port"),
            ("IMAGE_STORE", "images"),
            ("IMAGE_STORE", "s3://"),
            ("IMAGE_STORE", "https://hunter2@example.com"),
            ("MAIL_URL", "mail.example.com:587"),
            ("MAIL_URL", "http://hunter2@mail.example.com"),
            ("MAIL_URL", "smtp://user:hunter2@"),
            ("MAIL_URL", "smtp://user:hunter2@mail.example.com:port"),
            ("MAIL_FROM", "shop"),
            ("MAIL_FROM", "@example.com"),
            ("MAIL_FROM", "shop@"),
            ("MAIL_FROM", "Shop <shop@example.com>"),
            ("MAIL_FROM", "shop@example.com\nBcc: eve@example.com"),
            ("CORS_ORIGINS", "*"),
            ("CORS_ORIGINS", "null"),
            ("CORS_ORIGINS", "shop.example.com"),
            ("CORS_ORIGINS", "https://shop.example.com/"),
            ("CORS_ORIGINS", "https://*.example.com"),
            ("CORS_ORIGINS", "https://shop.example.com, ftp://shop.example.com"),
            ("CORS_ORIGINS", "https://shop.example.com:99999"),
            ("CORS_ORIGINS", "https://shop.example.com:\u0668\u0660"),
            ("DATABASE_URL", "postgresql+psycopg://u@h/db"),
            ("DATABASE_URL", "sqlite+aiosqlite:///a.db"),
            ("DATABASE_URL", "sqlite://agg.db"),
            ("DATABASE_URL", "sqlite://"),
            ("DATABASE_URL", "sqlite:///:memory:"),
            ("DATABASE_URL", "sqlite:////proc/nothing/a.db"),
            ("DATABASE_URL", "sqlite:////tmp"),
            ("DATABASE_URL", "sqlite:////tmp/a.db?schema=public"),
            ("DATABASE_URL", "postgres://u@h/db?schema=public"),
            ("DATABASE_URL", "postgres://u@h/db?sslmode=maybe"),
            ("DATABASE_URL", "postgres://u@h:99999/db"),
            ("DATABASE_URL", "postgres://u@h:0/db"),
            ("OFFERS_BASE_URL", "http://offers.example.com/?x=1"),
            ("OFFERS_BASE_URL", "http://offers.example.com?"),
            ("OFFERS_BASE_URL", "http://offers.example.com/#x"),
            ("OFFERS_BASE_URL", "http://offers.example.com:99999"),
            ("OFFERS_BASE_URL", "http://offers.example.com:0"),
            ("OFFERS_BASE_URL", "http://offers.example.com:\u0668\u0660"),
            ("OFFERS_BASE_URL", "http://offers..example.com"),
            ("OFFERS_BASE_URL", "http://-offers.example.com"),
            ("OFFERS_BASE_URL", "http://256.1.1.1"),
            ("OFFERS_BASE_URL", "http://offers example.com"),
            ("OFFERS_BASE_URL", "http://"),
            ("OFFERS_BASE_URL", "http://[::1"),
            ("OFFERS_BASE_URL", '"http://offers.example.com"'),
            ("OFFERS_REFRESH_TOKEN", "r\u00e9fresh"),
            ("OFFERS_REFRESH_TOKEN", "two\nlines"),
            ("OFFERS_ACCESS_TOKEN", "two\nlines"),
            ("SENTRY_DSN", "https://dsn"),
            ("SENTRY_DSN", "https://key@sentry.example/project"),
            ("SENTRY_DSN", "key"),
            ("REDIS_URL", "redis://localhost:6379/first"),
            ("REDIS_URL", "redis://localhost:6379/0?ssl_cert_reqs=none"),
            ("REDIS_URL", "redis://local host:6379/0"),
            ("MAIL_URL", "smtp://mail.example.com/inbox"),
            ("MAIL_URL", "smtp://mail.example.com?tls=1"),
            ("MAIL_URL", "smtp://mail.example.com:0"),
            ("MAIL_URL", "smtp://:hunter2@mail.example.com"),
            ("MAIL_URL", "smtp://user:p\u00e4ss@mail.example.com"),
            ("IMAGE_STORE", "/proc/nothing/images"),
            ("IMAGE_STORE", "/etc/passwd/images"),
            ("WEBHOOK_PORTS", "443 0"),
            ("WEBHOOK_PORTS", "https"),
            ("WEBHOOK_PORTS", "4_43"),
            ("WEBHOOK_TEST_HOSTS", "http://localhost:9000"),
            ("HOST", "localhost:8000"),
            ("HOST", "http://localhost"),
            ("HOST", "1.2.3"),
            ("PORT", "0"),
            ("PORT", "65536"),
            ("PORT", "http"),
            ("WEB_CONCURRENCY", "0"),
            ("WEB_CONCURRENCY", "two"),
            ("WEB_CONCURRENCY", "1_0"),
            ("WEB_THREADS", "0"),
            ("WEB_THREADS", "-4"),
            ("WEB_THREADS", "1.5"),
        ],
    )
    def test_each_is_named(self, name, value):
        assert problems(**{name: value}) == [name]

    @pytest.mark.parametrize(
        "name", [name for name in TABLE if type(getattr(config.Settings, name.lower(), "")) is int]
    )
    @pytest.mark.parametrize(
        "value", ["1_0", "+10", "-10", "\u0661\u0660", "\uff11\uff10", "1 0", "1e1", "10.", '"10"', "10 # ten"]
    )
    def test_a_number_is_ascii_digits(self, name, value):
        assert problems(**{name: value}) == [name]

    @pytest.mark.parametrize("value", ["6_0", "+60", "\u0666\u0660", "6e1", "inf", "60.", ".5", "0x3c"])
    def test_a_number_with_decimals_is_ascii_digits_too(self, value):
        assert problems(SYNC_INTERVAL_SECONDS=value) == ["SYNC_INTERVAL_SECONDS"]

    def test_blanks_around_a_value_do_not_belong_to_it(self):
        found = settings(PORT=" 8001\n", CURRENCY="\tCZK ", DATABASE_URL=" postgres://u@h/d\r\n")

        assert (found.port, found.currency, found.database_url.database) == (8001, "CZK", "d")

    @pytest.mark.parametrize(
        "url",
        ["http://offers_service:8001", "http://127.0.0.1:1", "http://[::1]:8001", "https://b\u00fccher.example/x/"],
    )
    def test_an_offers_service_may_have_any_name_that_a_host_has(self, url):
        assert settings(OFFERS_BASE_URL=url).offers.base_url == f"{url.rstrip('/')}/api/v1"

    @pytest.mark.parametrize(
        ("given", "used"), [("true", True), ("YES", True), ("1", True), ("off", False), ("False", False), ("0", False)]
    )
    def test_a_flag_is_one_of_the_usual_words(self, given, used):
        assert readers.flag(given) is used

    @pytest.mark.parametrize("value", ["y", "2", "enabled", "true # yes", "'true'"])
    def test_a_flag_is_nothing_else(self, value):
        with pytest.raises(readers.Unusable):
            readers.flag(value)

    def test_s3_needs_boto3(self, monkeypatch):
        monkeypatch.setattr(addresses, "find_spec", lambda name: None)

        assert problems(IMAGE_STORE="s3://shop") == ["IMAGE_STORE"]

    def test_all_are_named_at_once(self):
        wrong = {"SYNC_CONCURRENCY": "x", "TIMEZONE": "x", "CURRENCY": "x", "LOG_FORMAT": "x", "DATABASE_URL": "x"}

        assert set(problems(**wrong)) == set(wrong)

    def test_no_value_is_ever_told(self):
        wrong = {name: f"s3cr3t{number}" for number, name in enumerate(sorted(TABLE))}
        with pytest.raises(UsageError) as refusal:
            settings(**wrong)

        assert "s3cr3t" not in refusal.value.detail


class TestProduction:
    def test_works_when_all_is_set(self):
        found = settings(**GOOD)

        assert (found.app_env, found.log_format) == ("production", "json")
        assert found.database_url.drivername == "postgresql+psycopg2"

    @pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET_KEY"])
    @pytest.mark.parametrize("value", ["", "short", "x" * 64, "abcdefg" * 9, f"{' ' * 20}Kq8vXw2ZtY7u{' ' * 20}"])
    def test_needs_good_secrets(self, name, value):
        assert problems(**GOOD | {name: value}) == [name]

    @pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET_KEY"])
    @pytest.mark.parametrize("word", ["change", "secret", "example", "replace", "development", "password", "default"])
    def test_takes_no_secret_that_says_it_is_none(self, name, word):
        for spelled in (word, word.upper(), f"a-{word}d-one"):
            assert problems(**GOOD | {name: f"{spelled}-Kq8vXw2ZtY7uBn4mLp9rDf6gHj1a"}) == [name]

    @pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET_KEY"])
    @pytest.mark.parametrize("row", ["0123456789", "abcdefgh", "ABCDEFGHIJ"])
    def test_takes_no_secret_in_the_order_of_the_keyboard(self, name, row):
        assert problems(**GOOD | {name: f"{row}-Kq8vXw2ZtY7uBn4mLp9rDf6gHj1a"}) == [name]

    def test_takes_secrets_that_are_made_at_random(self):
        for _ in range(100):
            for made in (token_hex(32), token_urlsafe(32), token_hex(16)):
                assert settings(**GOOD | {"SECRET_KEY": made}).secret_key == made

    def test_needs_two_of_them(self):
        for same in (GOOD["SECRET_KEY"], f" {GOOD['SECRET_KEY']}\n"):
            assert problems(**GOOD | {"JWT_SECRET_KEY": same}) == ["JWT_SECRET_KEY"]

    def test_former_keys_come_between_commas_and_may_be_of_any_kind(self):
        found = settings(**GOOD | {"SECRET_KEY_FALLBACKS": " short, with a blank ,,x\n"})

        assert found.secret_key_fallbacks == ("short", "with a blank", "x")
        assert "with a blank" not in repr(found)

    def test_a_line_end_that_comes_with_a_secret_does_not_belong_to_it(self):
        found = settings(**GOOD | {name: f"{GOOD[name]}\r\n" for name in ("SECRET_KEY", "JWT_SECRET_KEY")})

        assert (found.secret_key, found.jwt_secret_key) == (GOOD["SECRET_KEY"], GOOD["JWT_SECRET_KEY"])

    @pytest.mark.parametrize("password", ["development-only", "development-only-2"])
    def test_takes_no_database_whose_password_everybody_knows(self, password):
        url = f"postgresql://aggregator:{password}@postgres:5432/aggregator"

        assert problems(**GOOD | {"DATABASE_URL": url}) == ["DATABASE_URL"]
        assert settings(**GOOD | {"DATABASE_URL": url, "APP_ENV": "development"}).database_url.password == password

    @pytest.mark.parametrize("token", ["sandbox-refresh-token", " sandbox-refresh-token\n"])
    def test_does_not_take_the_sandboxs_refresh_token(self, token):
        assert problems(**GOOD | {"OFFERS_REFRESH_TOKEN": token}) == ["OFFERS_REFRESH_TOKEN"]

    def test_needs_to_know_the_offers_service(self):
        assert problems(**GOOD | {"OFFERS_BASE_URL": ""}) == ["OFFERS_BASE_URL"]

    def test_does_not_keep_its_data_on_a_dynos_disk(self):
        assert problems(**GOOD | {"DYNO": "web.1", "DATABASE_URL": "sqlite:///a.db"}) == ["DATABASE_URL"]
        assert problems(**GOOD | {"DYNO": "web.1", "DATABASE_URL": ""}) == ["DATABASE_URL"]

    def test_a_folder_for_images_on_a_dyno_is_refused_because_its_disk_is_not_kept(self):
        assert settings(**GOOD | {"IMAGE_STORE": "/var/lib/images"}).image_store == "/var/lib/images"
        assert problems(**GOOD | {"DYNO": "web.1", "IMAGE_STORE": "/var/lib/images"}) == ["IMAGE_STORE"]
        assert settings(**GOOD | {"DYNO": "web.1", "IMAGE_STORE": "s3://shop"}).image_store == "s3://shop"

    def test_may_keep_it_on_a_disk_of_its_own(self):
        assert settings(**GOOD | {"DATABASE_URL": "sqlite:////data/a.db"}).database_url.database == "/data/a.db"

    @pytest.mark.parametrize("value", ["1", "true", "yes"])
    def test_has_no_debugger(self, value):
        assert problems(**GOOD | {"FLASK_DEBUG": value}) == ["FLASK_DEBUG"]

    @pytest.mark.parametrize("value", ["0", "false", "", "no"])
    def test_a_debugger_that_is_off_does_no_harm(self, value):
        assert settings(**GOOD | {"FLASK_DEBUG": value}).app_env == "production"

    def test_everything_that_is_missing_is_named_at_once(self):
        assert problems(APP_ENV="production", FLASK_DEBUG="1", CURRENCY="x") == [
            "CURRENCY",
            "SECRET_KEY",
            "JWT_SECRET_KEY",
            "OFFERS_BASE_URL",
            "FLASK_DEBUG",
        ]

    def test_no_value_is_ever_told(self):
        weak = {"SECRET_KEY": "hunter2", "JWT_SECRET_KEY": "hunter2", "OFFERS_REFRESH_TOKEN": "sandbox-refresh-token"}
        for url in ("mysql://u:hunter2@h/d", "postgresql://u:development-only-hunter2@h/d"):
            with pytest.raises(UsageError) as refusal:
                settings(**GOOD | weak | {"DATABASE_URL": url})

            for value in ("hunter2", "sandbox-refresh-token", "development-only"):
                assert value not in refusal.value.detail


class TestAccounts:
    def test_nothing_has_to_be_set(self):
        found = settings()

        assert (found.access_token_seconds, found.refresh_token_seconds) == (300, 86_400)
        assert (found.logins_per_address, found.logins_per_account, found.registrations_per_address) == (30, 10, 20)
        assert (found.redis_url, found.trusted_proxies, found.cors_origins) == ("", 0, ())

    def test_all_of_it_can_be(self):
        found = settings(
            ACCESS_TOKEN_SECONDS="10",
            REFRESH_TOKEN_SECONDS="31536000",
            LOGINS_PER_ADDRESS="1",
            LOGINS_PER_ACCOUNT="1000000",
            REGISTRATIONS_PER_ADDRESS="3",
            REDIS_URL="redis://localhost:6379/0",
            TRUSTED_PROXIES="5",
            CORS_ORIGINS="https://shop.example.com",
        )

        assert (found.access_token_seconds, found.refresh_token_seconds) == (10, 31_536_000)
        assert (found.logins_per_address, found.logins_per_account, found.registrations_per_address) == (
            1,
            1_000_000,
            3,
        )
        assert (found.redis_url, found.trusted_proxies) == ("redis://localhost:6379/0", 5)
        assert found.cors_origins == ("https://shop.example.com",)

    def test_an_access_token_lasts_no_longer_than_its_sign_in(self):
        assert settings(ACCESS_TOKEN_SECONDS="60", REFRESH_TOKEN_SECONDS="60").access_token_seconds == 60
        assert problems(ACCESS_TOKEN_SECONDS="61", REFRESH_TOKEN_SECONDS="60") == ["ACCESS_TOKEN_SECONDS"]
        assert problems(REFRESH_TOKEN_SECONDS="299", ACCESS_TOKEN_SECONDS="") == ["ACCESS_TOKEN_SECONDS"]

    @pytest.mark.parametrize(
        "url",
        [
            "redis://redis:6379/0",
            "redis://localhost",
            "redis://127.0.0.1:6379",
            "redis://[::1]:6379/1",
            "rediss://:p4ssw0rd@ec2-1-2-3-4.compute-1.amazonaws.com:12345",
            "rediss://user:p4ssw0rd@redis.example.com:6379/0?ssl_cert_reqs=none",
            "unix:///run/valkey/socket?db=0",
        ],
    )
    def test_a_redis_may_be_anywhere(self, url):
        assert settings(REDIS_URL=url).redis_url == url

    def test_a_port_that_there_cannot_be_is_named(self):
        assert problems(REDIS_URL="redis://localhost:99999/0") == ["REDIS_URL"]

    @pytest.mark.parametrize(
        ("given", "used"),
        [
            ("https://shop.example.com", ("https://shop.example.com",)),
            ("https://a.example, http://localhost:3000", ("https://a.example", "http://localhost:3000")),
            ("https://Shop.example:443 http://my_shop:80", ("https://shop.example", "http://my_shop")),
            ("https://a.example https://b.example,", ("https://a.example", "https://b.example")),
            (" ", ()),
        ],
    )
    def test_origins_are_a_list(self, given, used):
        assert settings(CORS_ORIGINS=given).cors_origins == used

    def test_the_repr_does_not_tell_the_password_of_redis(self):
        assert "p4ssw0rd" not in repr(settings(REDIS_URL="redis://:p4ssw0rd@localhost:6379/0"))


class TestDevelopmentSecret:
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path, monkeypatch) -> Path:
        """A directory to be installed in, with nothing in it."""
        monkeypatch.setattr(development, "ROOT", tmp_path)
        os.environ["DATABASE_URL"] = "postgresql:///elsewhere"
        return tmp_path

    def test_each_secret_that_is_not_set_is_made_and_is_one_of_its_own(self):
        found = settings()

        assert len(found.secret_key) == len(found.jwt_secret_key) == 64
        assert found.secret_key != found.jwt_secret_key

    def test_stays_the_same(self):
        first, second = settings(), settings()

        assert (first.secret_key, first.jwt_secret_key) == (second.secret_key, second.jwt_secret_key)

    def test_differs_from_one_installation_to_the_next(self, directory, monkeypatch):
        first = settings()
        monkeypatch.setattr(development, "ROOT", directory / "another")
        (directory / "another").mkdir()

        assert settings().jwt_secret_key != first.jwt_secret_key

    def test_what_is_set_is_used_as_it_is(self):
        found = settings(SECRET_KEY="mine", JWT_SECRET_KEY="mine too")

        assert (found.secret_key, found.jwt_secret_key) == ("mine", "mine too")

    def test_where_both_are_set_nothing_is_made(self, directory):
        settings(SECRET_KEY="mine", JWT_SECRET_KEY="mine too")

        assert list(directory.iterdir()) == []

    def test_is_kept_in_one_file_that_nobody_else_can_read(self, directory):
        made = settings()

        (file,) = (directory / "instance").iterdir()
        assert file.name == "development-secret"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert made.secret_key not in file.read_text()

    def test_at_no_time_anybody_else_could_have_read_it(self, directory):
        seen = set()

        def look(*_: object) -> None:
            for file in (directory / "instance").glob("*"):
                status = file.stat()
                seen.add((status.st_size > 0, oct(stat.S_IMODE(status.st_mode))))

        sys.setprofile(look)  # after each call of anything
        try:
            config.development_secret("secret_key")
        finally:
            sys.setprofile(None)

        assert (True, "0o600") in seen
        assert {mode for written, mode in seen if written} == {"0o600"}

    def test_in_production_none_is_made(self, directory):
        settings(**GOOD)

        assert list(directory.iterdir()) == []

    def test_processes_that_start_at_once_get_the_same(self, directory):
        directories = [directory / str(number) for number in range(20)]
        for path in directories:
            path.mkdir()
        command = [sys.executable, "-c", ASK_FOR_SECRETS, *map(str, directories)]
        processes = [
            subprocess.Popen(command, cwd=INSTALLED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=30)[0].split() for process in processes]

        assert [process.returncode for process in processes] == [0, 0, 0]
        assert said[0] == said[1] == said[2]
        assert len(set(said[0])) == 20
        assert {len(list((path / "instance").iterdir())) for path in directories} == {1}

    def test_a_directory_that_is_none_is_said_in_a_sentence(self, directory):
        (directory / "instance").write_text("a file")

        with pytest.raises(UsageError) as refusal:
            settings()
        path = directory / "instance" / "development-secret"
        assert refusal.value.detail == f"SECRET_KEY is not set, and none can be kept in {path}: File exists."

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_directory_that_cannot_be_written_is_said_in_a_sentence(self, directory):
        (directory / "instance").mkdir(mode=0o500)

        with pytest.raises(UsageError) as refusal:
            settings(SECRET_KEY="mine")
        path = directory / "instance" / "development-secret"
        assert refusal.value.detail == f"JWT_SECRET_KEY is not set, and none can be kept in {path}: Permission denied."


def test_the_repr_of_settings_holds_no_secret():
    text = repr(settings(**GOOD, SENTRY_DSN="https://s3cr3t@sentry.example/1", OFFERS_ACCESS_TOKEN="t0k3n"))

    for secret in (GOOD["SECRET_KEY"], GOOD["JWT_SECRET_KEY"], "hunter2", "r3fr3sh", "s3cr3t@", "t0k3n"):
        assert secret not in text


def test_a_file_of_sqlite_is_found_from_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert normalized_database_url("sqlite:///data/a.db").database == str(tmp_path / "data" / "a.db")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h:5/d?sslmode=require", "postgresql+psycopg2://u:p@h:5/d?sslmode=require"),
        ("postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
        ("sqlite:////data/a.db", "sqlite:////data/a.db"),
        ("sqlite://", "sqlite://"),
    ],
)
def test_a_database_url_gets_the_driver_that_is_installed(given, used):
    assert normalized_database_url(given).render_as_string(hide_password=False) == used
