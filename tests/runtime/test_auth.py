"""API keys: key files, requests with and without a key, bodies of such requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import ROOT, WITHOUT_CAPABILITIES, make, needs_setpriv
from support.models import MODEL_DIRS, example, example_body
from support.network import read_response, request_bytes, request_head, send
from support.server import JSON, PATHS, ROUTES, Server, start_and_fail

FIRST = "first-key-0123456789"
SECOND = "second~key+/=9876543210"
UNKNOWN = "another-key-0123456789"
MODEL = MODEL_DIRS[0]
PATH = PATHS[MODEL]
BODY = example_body(MODEL)
FORM = "expected one key per line, each of 16 or more printable ASCII characters without spaces"


def bearer(key: str) -> dict[str, str]:
    """Return the headers of a JSON body and of a key."""
    return {**JSON, "Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that accepts two keys."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"{FIRST}\n\n  {SECOND}\r\n")
    with Server(trained, ROUTES[MODEL], API_KEY_FILE=str(file)) as running:
        yield running.wait_until_ready()


@pytest.fixture(scope="module")
def open_server(trained: Path) -> Iterator[Server]:
    """The control: a server without keys."""
    with Server(trained, ROUTES[MODEL], API_KEY_FILE="") as running:
        yield running.wait_until_ready()


@pytest.mark.parametrize(
    "value", [f"Bearer {FIRST}", f"Bearer {SECOND}", f"bearer {FIRST}", f"BEARER  {SECOND}"]
)
def test_server_answers_a_request_with_a_known_key(server: Server, value: str) -> None:
    response = server.post(PATH, BODY, {**JSON, "Authorization": value})
    assert response.json()["payload"]["predictions"] == example(MODEL)["expected"]


@pytest.mark.parametrize(
    "value",
    [
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
    ],
)
def test_server_rejects_a_request_without_a_known_key(
    server: Server, open_server: Server, value: str
) -> None:
    headers = dict(JSON)
    if value:
        headers["Authorization"] = value

    rejected = server.post(PATH, BODY, headers)
    assert rejected.status_code == 401
    assert rejected.headers["WWW-Authenticate"] == "Bearer"
    message = "expected Authorization: Bearer KEY, found none or an unknown key"
    error = {"code": "unauthorized", "message": message, "path": None}
    assert rejected.json() == {"error": error}

    assert open_server.post(PATH, BODY, headers).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_pages_for_probes_need_no_key(server: Server, path: str) -> None:
    assert server.status(path) == 200


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/none", "//health", "/Health", "/health/"])
def test_every_other_page_needs_a_key(server: Server, open_server: Server, path: str) -> None:
    # Raw requests, because `requests` sends "//health" as "/health".
    without_key = request_head(path, method="GET")
    with_key = request_head(path, f"Authorization: Bearer {SECOND}", method="GET")
    assert send(server.port, without_key).status_code == 401

    allowed = send(server.port, with_key).status_code
    assert allowed != 401
    assert allowed == send(open_server.port, without_key).status_code


def response_without_body(server: Server, seconds: float) -> bytes:
    """Send a request without a key and without its body; return the response.

    It is empty if no response arrives within `seconds`.
    """
    with server.connect(request_head(PATH, "Content-Length: 100")) as connection:
        connection.settimeout(seconds)
        try:
            return connection.recv(1000)
        except TimeoutError:
            return b""


def test_server_rejects_a_request_without_a_key_before_its_body_arrives(
    server: Server, open_server: Server
) -> None:
    assert response_without_body(server, 5).startswith(b"HTTP/1.1 401 ")
    assert response_without_body(open_server, 0.5) == b""


def test_server_does_not_take_the_body_of_a_rejected_request_for_a_request(
    server: Server,
) -> None:
    body = request_head("/health", method="GET") * 1000
    rejected = request_bytes("POST", PATH, body)
    allowed = request_bytes("POST", PATH, body, f"Authorization: Bearer {FIRST}")

    with server.connect(rejected) as connection:
        assert read_response(connection).status_code == 401
        connection.sendall(allowed)
        assert read_response(connection).status_code == 400


def test_rejected_requests_are_counted(server: Server) -> None:
    sample = ("predict_requests_total", PATH, "401")
    before = server.metrics().get(sample, 0)
    server.post(PATH, b"{", bearer(UNKNOWN))
    assert server.metrics()[sample] == before + 1


def test_no_key_is_in_log_or_metrics(server: Server) -> None:
    server.post(PATH, BODY, bearer(FIRST))
    server.post(PATH, BODY, bearer(SECOND))
    server.post(PATH, BODY, bearer(UNKNOWN))
    written = server.output + server.get("/metrics").text
    assert PATH in written
    for key in (FIRST, SECOND, UNKNOWN):
        assert key not in written


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", ": is empty"),
        (b" \n\n", ": is empty"),
        (b"too-short-01234", ", line 1: found 15 bytes that are not a key"),
        (b"a-good-key-0123456789\nshort\n", ", line 2: found 5 bytes that are not a key"),
        (b"a good key 0123456789", ", line 1: found 21 bytes that are not a key"),
        ("clé-0123456789abcdef".encode(), ", line 1: found 21 bytes that are not a key"),
        (b"a-good-key\0-0123456789", ", line 1: found 22 bytes that are not a key"),
    ],
)
def test_start_fails_with_an_invalid_key_file_without_printing_it(
    tmp_path: Path, content: bytes, found: str
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    done = start_and_fail(tmp_path, "a:none:f", API_KEY_FILE=str(file))
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr == f"predict: API_KEY_FILE={file}{found}; {FORM}\n"


def test_start_accepts_a_key_of_sixteen_characters(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("0123456789abcdef")
    # The keys are read before the routes, so an error of the route shows that they are valid.
    done = start_and_fail(tmp_path, "a:none:f", API_KEY_FILE=str(file))
    assert "importing none failed" in done.stderr


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "No such file or directory"), ("", "Is a directory")]
)
def test_start_names_a_key_file_that_is_not_a_file(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    done = start_and_fail(tmp_path, "a:none:f", API_KEY_FILE=str(path))
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr == f"predict: API_KEY_FILE={path}: can't be read ({reason}); {FORM}\n"


@needs_setpriv
def test_start_names_a_key_file_without_read_permission(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(FIRST)
    file.chmod(0)
    prefix = WITHOUT_CAPABILITIES
    reason = "can't be read (Permission denied)"
    with Server(tmp_path, "a:none:f", prefix=prefix, API_KEY_FILE=str(file)) as failed:
        assert failed.wait() == 78
        assert failed.output == f"predict: API_KEY_FILE={file}: {reason}; {FORM}\n"


@pytest.mark.parametrize("path", ["keys", "./keys", "/nonexistent/keys"])
def test_make_rejects_a_key_file_without_its_full_path(path: str) -> None:
    done = make(ROOT, MODEL, "predict", f"API_KEY_FILE={path}", ENGINE="local")
    expected = 'expected the full path of a file, such as API_KEY_FILE="$HOME/keys"'
    assert done.returncode == 2
    assert done.stderr.startswith(f"run.sh: API_KEY_FILE={path}: {expected}\n")


def output_of_test_endpoint(server: Server, file: Path) -> str:
    """Return what `make test-endpoint` prints with the keys in `file`."""
    done = make(ROOT, MODEL, "test-endpoint", PORT=server.port, API_KEY_FILE=file)
    return done.stdout + done.stderr


def test_make_test_endpoint_sends_the_first_key(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "keys"

    file.write_text(f"\n{SECOND}\n{UNKNOWN}\n")
    assert "4 predictions, as expected" in output_of_test_endpoint(server, file)

    file.write_text(f"{UNKNOWN}\n{SECOND}\n")
    rejected = f"{PATH}: expected status 200, found 401"
    assert rejected in output_of_test_endpoint(server, file)

    file.unlink()
    assert "No such file" in output_of_test_endpoint(server, file)
