"""API keys: what a key file may be, who gets in, and that a stranger's body is never waited for."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, run
from support.daemon import JSON, PATHS, ROUTES, Daemon, instances
from test_serve import HELD, start

FIRST, SECOND = "first-key-0123456789", "second~key+/=9876543210"
MODEL = MODEL_DIRS[0]
PATH = PATHS[MODEL]
FORM = "expected one key a line, each of 16 or more printable ASCII characters without spaces"


@pytest.fixture(scope="module")
def daemon(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that knows two keys."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"{FIRST}\n\n  {SECOND}\r\n")
    with Daemon(trained, ROUTES[MODEL], API_KEY_FILE=str(file)) as running:
        yield running.ready()


@pytest.fixture(scope="module")
def open_daemon(trained: Path) -> Iterator[Daemon]:
    """The control: a daemon without keys."""
    with Daemon(trained, ROUTES[MODEL], API_KEY_FILE="") as running:
        yield running.ready()


@pytest.mark.parametrize(
    "value", [f"Bearer {FIRST}", f"Bearer {SECOND}", f"bearer {FIRST}", f"BEARER  {SECOND}"]
)
def test_who_sends_a_known_key_is_answered(daemon: Daemon, value: str) -> None:
    answer = daemon.ask("POST", PATH, instances(MODEL), {**JSON, "Authorization": value})
    assert answer.json["payload"]["predictions"] == json.loads(instances(MODEL))["expected"]


STRANGERS = [
    "",
    "Bearer",
    "Bearer ",
    FIRST,
    f"Basic {FIRST}",
    f"Bearer{FIRST}",
    f"Bearer {FIRST[:-1]}",
    f"Bearer {FIRST}x",
    f"Bearer {FIRST.upper()}",
    f"Bearer {FIRST} {SECOND}",
    f"Bearer {FIRST}\t\xe9",
]


@pytest.mark.parametrize("value", STRANGERS)
def test_who_sends_none_or_another_is_refused(
    daemon: Daemon, open_daemon: Daemon, value: str
) -> None:
    sent = {**JSON, "Authorization": value} if value else JSON
    answer = daemon.ask("POST", PATH, instances(MODEL), sent)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    message = "expected Authorization: Bearer KEY, found none or an unknown key"
    assert answer.json == {"error": {"code": "unauthorized", "message": message, "path": None}}
    assert open_daemon.ask("POST", PATH, instances(MODEL), sent).status == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_the_pages_for_probes_need_no_key(daemon: Daemon, path: str) -> None:
    assert daemon.ask("GET", path, headers={}).status == 200


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/none", "//health", "/Health", "/health/"])
def test_every_other_page_does(daemon: Daemon, open_daemon: Daemon, path: str) -> None:
    assert daemon.ask("GET", path, headers={}).status == 401
    allowed = daemon.ask("GET", path, headers={"Authorization": f"Bearer {SECOND}"}).status
    assert allowed == open_daemon.ask("GET", path, headers={}).status != 401


def first_bytes(daemon: Daemon, seconds: float) -> bytes:
    """What comes back to a request without a key whose body is never sent, within `seconds`."""
    with daemon.raw(
        f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n".encode()
    ) as connection:
        connection.settimeout(seconds)
        try:
            return connection.recv(1000)
        except TimeoutError:
            return b""


def test_a_strangers_body_is_not_waited_for(daemon: Daemon, open_daemon: Daemon) -> None:
    assert first_bytes(daemon, 5).startswith(b"HTTP/1.1 401 ")
    assert first_bytes(open_daemon, 0.5) == b""


def test_a_refused_connection_is_usable_and_the_body_is_not_taken_for_a_request(
    daemon: Daemon,
) -> None:
    connection = daemon.connect()
    smuggled = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n" * 1000
    for headers, status in ((JSON, 401), ({**JSON, "Authorization": f"Bearer {FIRST}"}, 400)):
        connection.request("POST", PATH, smuggled, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_refusals_are_counted_and_no_key_is_in_log_or_metrics(daemon: Daemon) -> None:
    before = daemon.samples().get(("predict_requests_total", PATH, "401"), 0)
    daemon.ask("POST", PATH, b"{", {**JSON, "Authorization": "Bearer another-key-0123456789"})
    assert daemon.samples()["predict_requests_total", PATH, "401"] == before + 1
    told = daemon.said + daemon.ask("GET", "/metrics").body.decode()
    assert not any(key in told for key in (FIRST, SECOND, "another-key"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", ": is empty"),
        (b" \n\n", ": is empty"),
        (b"too-short-012345"[:15], ", line 1: found 15 other bytes"),
        (b"a-good-key-0123456789\nshort\n", ", line 2: found 5 other bytes"),
        (b"a good key 0123456789", ", line 1: found 21 other bytes"),
        ("clé-0123456789abcdef".encode(), ", line 1: found 21 other bytes"),
        (b"a-good-key\0-0123456789", ", line 1: found 22 other bytes"),
    ],
)
def test_a_bad_key_file_is_refused_at_start_without_showing_it(
    tmp_path: Path, content: bytes, found: str
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    done = start(tmp_path, "a:none:f", API_KEY_FILE=str(file))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"predict: API_KEY_FILE={file}{found}; {FORM}\n"


def test_a_key_of_sixteen_characters_is_enough(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("0123456789abcdef")
    assert (
        "importing none failed"
        in start(tmp_path, "a:none:f", API_KEY_FILE=str(tmp_path / "keys")).stderr
    )


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        done = start(tmp_path, API_KEY_FILE=str(path))
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr == f"predict: API_KEY_FILE={path}: can't be read ({reason}); {FORM}\n"


@pytest.mark.skipif(bool(HELD) and not shutil.which("setpriv"), reason="as root this needs setpriv")
def test_a_key_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(FIRST)
    file.chmod(0)
    with Daemon(tmp_path, "a:none:f", HELD, API_KEY_FILE=str(file)) as refused:
        assert refused.ended() == 78
        assert (
            refused.said
            == f"predict: API_KEY_FILE={file}: can't be read (Permission denied); {FORM}\n"
        )


@pytest.mark.parametrize("path", ["keys", "./keys", "/nonexistent/keys"])
def test_make_wants_the_key_files_full_path(path: str) -> None:
    done = run(
        "make", "-s", "-C", MODEL, "predict", f"API_KEY_FILE={path}", env={"ENGINE": "local"}
    )
    text = f'run.sh: API_KEY_FILE={path}: expected the full path of a file, such as API_KEY_FILE="$HOME/keys"\n'
    assert done.returncode == 2 and done.stderr.startswith(text)


def said_by_make(daemon: Daemon, file: Path) -> str:
    """What make test-endpoint says of a daemon, with keys from `file`."""
    variables = {"PORT": str(daemon.port), "API_KEY_FILE": str(file)}
    done = run("make", "-s", "-C", MODEL, "test-endpoint", env=variables)
    return done.stdout + done.stderr


def test_make_test_endpoint_sends_the_first_key(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"\n{SECOND}\nothers\n")
    assert "4 predictions, as expected" in said_by_make(daemon, tmp_path / "keys")
    (tmp_path / "keys").write_text("another-key-0123456789\n")
    assert f"{PATH}: expected status 200, found 401" in said_by_make(daemon, tmp_path / "keys")
    assert "No such file" in said_by_make(daemon, tmp_path / "none")
