"""The daemon's front over real connections, with the real models behind it and small functions beside them."""

import asyncio
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MODEL_DIRS, setting
from runtime.app import App
from runtime.endpoint import Endpoint
from runtime.settings import read_settings
from support.daemon import JSON, PATHS, ROUTES, Answer, Daemon, instances, received, until

APPLICATION = """
import time

def echo(msg):
    return {"echo": msg.payload}

def sleep(msg):
    time.sleep(msg.payload)
    return {"slept": msg.payload}

def fail(msg):
    raise KeyError("a secret")

def end(msg):
    raise SystemExit("a secret")
"""
OWN = ("echo", "sleep", "fail", "end")
LIMIT = 8 << 20
GOOD = b'{"payload": 1}'


@pytest.fixture(scope="module")
def daemon(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One worker that serves every model and the small functions; a body may take a second and 8 MiB."""
    directory = tmp_path_factory.mktemp("front")
    (directory / "app.py").write_text(APPLICATION)
    (directory / "models").symlink_to(trained / "models")
    routes = ",".join([*ROUTES.values(), *(f"{name}:app:{name}" for name in OWN)])
    with Daemon(
        directory, routes, BODY_SECONDS="1", MAX_BODY_BYTES=str(LIMIT), MAX_ROWS="14000"
    ) as running:
        yield running.ready()


def error(answer: Answer) -> dict[str, Any]:
    """The error in an answer, which must be JSON."""
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["error"]
    return answer.json["error"]


def response(connection: Any) -> Answer:
    """The one answer on a raw connection, after which the server must have closed it."""
    parsed = http.client.HTTPResponse(connection)
    parsed.begin()
    answer = Answer(
        parsed.status, {key.lower(): value for key, value in parsed.getheaders()}, parsed.read()
    )
    assert answer.headers["connection"] == "close"
    assert connection.recv(1) == b""
    connection.close()
    return answer


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_a_models_test_instances_are_answered_as_expected(daemon: Daemon, model: str) -> None:
    body = json.loads(instances(model))
    answer = daemon.ask("POST", PATHS[model], instances(model))
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json["payload"]["predictions"] == body["expected"]
    assert {type(row) for row in body["payload"]["instances"]} == {list, dict}


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_rows_by_list_by_object_and_by_batch_are_answered_alike(daemon: Daemon, model: str) -> None:
    whole = daemon.ask("POST", PATHS[model], instances(model)).json["payload"]
    for row, prediction, scores in zip(
        json.loads(instances(model))["payload"]["instances"], whole["predictions"], whole["scores"]
    ):
        names = list(
            next(
                r
                for r in json.loads(instances(model))["payload"]["instances"]
                if isinstance(r, dict)
            )
        )
        other = list(row.values()) if isinstance(row, dict) else dict(zip(names, row))
        for form in (row, other):
            alone = daemon.ask(
                "POST", PATHS[model], json.dumps({"payload": {"instances": [form]}}).encode()
            )
            assert alone.json["payload"]["predictions"] == [prediction]
            assert alone.json["payload"]["scores"][0] == pytest.approx(scores, abs=1e-6)


def test_a_wrong_value_is_a_422_that_names_row_and_column(daemon: Daemon) -> None:
    for model in MODEL_DIRS:
        rows = json.loads(instances(model))["payload"]["instances"]
        row = next(row for row in rows if isinstance(row, dict))
        body = json.dumps({"payload": {"instances": [row, {**row, "age": "old"}]}}).encode()
        answer = daemon.ask("POST", PATHS[model], body)
        assert answer.status == 422
        assert error(answer) == {
            "code": "invalid_instances",
            "message": "row 1: column 'age': expected a finite number, found 'old'",
            "path": "instances[1].age",
        }


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        ("/echo", b"{", JSON, 400, "malformed_json"),
        ("/echo", b"", JSON, 400, "malformed_json"),
        ("/echo", b"{}", JSON, 422, "invalid_body"),
        (
            "/echo",
            GOOD,
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
            "unsupported_media_type",
        ),
        ("/fail", GOOD, JSON, 500, "internal_error"),
        ("/end", GOOD, JSON, 500, "internal_error"),
        ("/none", GOOD, JSON, 404, "not_found"),
        ("/echo/", GOOD, JSON, 404, "not_found"),
        ("/health/", GOOD, JSON, 404, "not_found"),
        ("/openapi.json", GOOD, JSON, 405, "method_not_allowed"),
        ("//echo//none", GOOD, JSON, 404, "not_found"),
        ("/", GOOD, JSON, 405, "method_not_allowed"),
        ("/ready", GOOD, JSON, 405, "method_not_allowed"),
    ],
)
def test_bad_requests_have_their_status_and_code(
    daemon: Daemon, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = daemon.ask("POST", path, body, headers)
    assert answer.status == status
    assert error(answer)["code"] == code
    assert b"secret" not in answer.body and b"<" not in answer.body


def test_doubled_slashes_are_never_answered_with_html(daemon: Daemon) -> None:
    for path in (f"/{PATHS[MODEL_DIRS[0]]}", PATHS[MODEL_DIRS[0]].replace("/predict", "//predict")):
        answer = daemon.ask("POST", path, b"{")
        assert answer.status in (400, 404)
        assert error(answer)["code"]


def test_a_failing_functions_traceback_is_in_the_log(daemon: Daemon) -> None:
    before = daemon.said.count("KeyError: 'a secret'")
    assert daemon.ask("POST", "/fail", GOOD).status == 500
    assert until(lambda: daemon.said.count("KeyError: 'a secret'") == before + 1, 2)


def test_no_content_type_means_json(daemon: Daemon) -> None:
    assert daemon.ask("POST", "/echo", GOOD, {}).json == {"payload": {"echo": 1}}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/echo", PATHS[MODEL_DIRS[0]]])
def test_a_route_takes_post_alone(daemon: Daemon, path: str, method: str) -> None:
    answer = daemon.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        message = f"expected POST, found {method}"
        assert error(answer) == {"code": "method_not_allowed", "message": message, "path": None}


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_the_servers_own_pages_take_get_and_head_alone(daemon: Daemon, path: str) -> None:
    for method in ("POST", "DELETE"):
        answer = daemon.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert error(answer)["message"] == f"expected GET, HEAD, found {method}"
    head = daemon.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_health_is_short_and_ready_names_every_model(daemon: Daemon, trained: Path) -> None:
    assert daemon.ask("GET", "/health").body == b'{"status":"alive"}'
    models: dict[str, dict[str, str]] = {f"/{name}": {} for name in OWN}
    for model in MODEL_DIRS:
        name = setting(model, "MODEL_NAME")
        digest = (trained / "models" / f"{name}.pkl").read_bytes()[-40:-8].hex()
        models[PATHS[model]] = {"model": name, "digest": digest}
    answer = daemon.ask("GET", "/ready")
    assert (answer.status, answer.json) == (200, {"status": "ready", "routes": models})


def test_the_root_lists_every_route_as_text(daemon: Daemon) -> None:
    answer = daemon.ask("GET", "/")
    lines = [f"POST {PATHS[model]}  {setting(model, 'MODEL_NAME')}  ready" for model in ROUTES]
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body.decode().splitlines() == [
        *lines,
        *(f"POST /{name}    ready" for name in OWN),
    ]


def post(path: str, *headers: str, body: bytes = b"") -> bytes:
    """A POST request as it stands on the wire."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: here", *headers, "", ""]).encode() + body


TOO_LARGE = {
    "code": "too_large",
    "message": "the body has more than 8,388,608 bytes: send fewer rows at once",
    "path": None,
}


def test_a_body_declared_too_large_is_refused_before_it_is_sent(daemon: Daemon) -> None:
    answer = response(daemon.raw(post("/echo", f"Content-Length: {LIMIT + 1}")))
    assert (answer.status, error(answer)) == (413, TOO_LARGE)


def test_a_body_that_grows_too_large_is_refused(daemon: Daemon) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    connection = daemon.raw(
        post("/echo", "Transfer-Encoding: chunked", body=chunk * (LIMIT // 0x10000))
    )
    connection.sendall(b"1\r\n \r\n")
    answer = response(connection)
    assert (answer.status, error(answer)) == (413, TOO_LARGE)


def test_a_body_of_the_largest_size_is_read(daemon: Daemon) -> None:
    body = GOOD.ljust(LIMIT)
    assert daemon.ask("POST", "/echo", body).status == 200
    connection = daemon.raw(post("/echo", "Transfer-Encoding: chunked", "Connection: close"))
    for part in (body[:5], body[5:]):
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")
    assert response(connection).status == 200


def test_a_batch_of_too_many_rows_is_refused_with_both_numbers(daemon: Daemon) -> None:
    for path in ("/echo", PATHS[MODEL_DIRS[0]]):
        for rows, status in ((14_000, {"/echo": 200}.get(path, 422)), (14_001, 413)):
            answer = daemon.ask(
                "POST", path, json.dumps({"payload": {"instances": [[]] * rows}}).encode()
            )
            assert answer.status == status
        message = "found 14,001 rows, expected at most 14,000: send fewer at once"
        assert error(answer) == {"code": "too_many_rows", "message": message, "path": "instances"}


@pytest.mark.parametrize("sent", [b"", GOOD[:-1]])
def test_a_slow_body_is_a_408_and_its_connection_is_closed(daemon: Daemon, sent: bytes) -> None:
    started = time.monotonic()
    answer = response(daemon.raw(post("/echo", f"Content-Length: {len(GOOD)}", body=sent)))
    assert 0.9 < time.monotonic() - started < 3
    assert (answer.status, error(answer)) == (
        408,
        {"code": "too_slow", "message": "the body wasn't there after 1 s", "path": None},
    )


def test_a_body_that_trickles_has_no_more_time(daemon: Daemon) -> None:
    connection = daemon.raw(post("/echo", "Content-Length: 100"))
    started = time.monotonic()
    connection.settimeout(0.2)
    received = b""
    while not received and time.monotonic() - started < 5:
        connection.sendall(b" ")
        try:
            received = connection.recv(100)
        except TimeoutError:
            continue
    assert received.startswith(b"HTTP/1.1 408 ")
    connection.close()


def test_a_body_in_pieces_within_its_time_is_answered(daemon: Daemon) -> None:
    connection = daemon.raw(post("/echo", f"Content-Length: {len(GOOD)}", "Connection: close"))
    for byte in GOOD:
        connection.sendall(bytes([byte]))
        time.sleep(0.01)
    assert response(connection).json == {"payload": {"echo": 1}}


def test_a_client_that_waits_for_100_continue_gets_it(daemon: Daemon) -> None:
    headers = (f"Content-Length: {len(GOOD)}", "Expect: 100-continue", "Connection: close")
    connection = daemon.raw(post("/echo", *headers))
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(GOOD)
    assert response(connection).status == 200


def test_a_client_that_leaves_early_harms_nobody(daemon: Daemon) -> None:
    before = daemon.said
    for request in (b"POST /ec", post("/echo"), post("/echo", "Content-Length: 100", body=GOOD)):
        daemon.raw(request).close()
    daemon.raw(post("/sleep", "Content-Length: 16", body=b'{"payload": 0.2}')).close()
    time.sleep(0.3)
    assert daemon.ask("POST", "/echo", GOOD).status == 200
    assert daemon.said == before


def test_what_is_not_http_gets_no_html_and_no_traceback(daemon: Daemon) -> None:
    for request in (
        b"garbage\r\n\r\n",
        post("/echo", "Content-Length: abc"),
        post("/echo", "Content-Length: -1"),
    ):
        answer = response(daemon.raw(request))
        assert answer.status == 400 and b"<" not in answer.body
    assert "Invalid HTTP request received" in daemon.said
    assert daemon.ask("POST", "/echo", GOOD).status == 200


def test_a_kept_connection_answers_without_a_stall(daemon: Daemon) -> None:
    connection = daemon.connect()
    connection.connect()
    first = connection.sock
    seconds = []
    for model in MODEL_DIRS * 10:
        started = time.perf_counter()
        connection.request("POST", PATHS[model], instances(model), JSON)
        assert received(connection).status == 200
        seconds.append(time.perf_counter() - started)
    assert connection.sock is first
    connection.close()
    assert (
        statistics.median(seconds) < 0.03
    )  # Nagle's algorithm against a delayed acknowledgement costs 0.04


def test_a_refused_request_leaves_the_connection_usable(daemon: Daemon) -> None:
    connection = daemon.connect()
    connection.connect()
    first = connection.sock
    for path, body, status in (
        ("/echo", b"{", 400),
        ("/none", GOOD, 404),
        ("/fail", GOOD, 500),
        ("/echo", GOOD, 200),
    ):
        connection.request("POST", path, body, JSON)
        assert received(connection).status == status
    assert connection.sock is first
    connection.close()


def answered_meanwhile(
    daemon: Daemon, path: str, body: bytes, times: int
) -> tuple[list[float], list[int]]:
    """Seconds that /health takes while `times` requests are under way, and the statuses of these."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(daemon.ask("POST", path, body).status))
        for _ in range(times)
    ]
    for thread in threads:
        thread.start()
    seconds = []
    while any(thread.is_alive() for thread in threads):
        started = time.perf_counter()
        assert daemon.ask("GET", "/health").status == 200
        seconds.append(time.perf_counter() - started)
        time.sleep(0.005)
    return seconds, statuses


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_large_batches_do_not_hold_up_the_event_loop(daemon: Daemon, model: str) -> None:
    rows = json.loads(instances(model))["payload"]["instances"]
    body = json.dumps({"payload": {"instances": (rows * 14_000)[:14_000]}}).encode()
    started = time.perf_counter()
    seconds, statuses = answered_meanwhile(daemon, PATHS[model], body, 4)
    took = time.perf_counter() - started
    assert statuses == [200] * 4
    assert len(seconds) >= 4 and statistics.median(seconds) < took / 10


def test_a_function_that_sleeps_does_not_hold_up_the_event_loop(daemon: Daemon) -> None:
    seconds, statuses = answered_meanwhile(daemon, "/sleep", b'{"payload": 2}', 1)
    assert statuses == [200] and len(seconds) > 20
    assert max(seconds) < 0.5


def test_metrics_count_each_answer_once(daemon: Daemon) -> None:
    path = PATHS[MODEL_DIRS[0]]
    row = json.loads(instances(MODEL_DIRS[0]))["payload"]["instances"][:1]
    before = daemon.samples()
    for count in (1, 1, 1, 20, 200):
        assert (
            daemon.ask(
                "POST", path, json.dumps({"payload": {"instances": row * count}}).encode()
            ).status
            == 200
        )
    for _ in range(2):
        daemon.ask("POST", path, b"{")
    daemon.ask("GET", path)
    daemon.ask("GET", "/none")
    after = daemon.samples()
    changed = {
        key: value - before.get(key, 0)
        for key, value in after.items()
        if value != before.get(key, 0)
    }
    requests = {
        key[2]: value for key, value in changed.items() if key[0] == "predict_requests_total"
    }
    assert requests == {"200": 5, "400": 2, "405": 1}
    assert {key[1] for key in changed} == {path}
    assert (changed["predict_batch_size_count", path], changed["predict_batch_size_sum", path]) == (
        5,
        223,
    )
    buckets = {
        key[2]: value for key, value in changed.items() if key[0] == "predict_batch_size_bucket"
    }
    assert buckets == {
        "1.0": 3,
        "10.0": 3,
        "100.0": 4,
        "1000.0": 5,
        "10000.0": 5,
        "100000.0": 5,
        "+Inf": 5,
    }
    assert (
        changed["predict_latency_seconds_count", path]
        == changed["predict_latency_seconds_bucket", path, "+Inf"]
        == 5
    )
    assert 0 < changed["predict_latency_seconds_sum", path] < 5


def test_a_flat_row_counts_as_a_batch_of_one(daemon: Daemon) -> None:
    path = PATHS[MODEL_DIRS[0]]
    row = next(
        row
        for row in json.loads(instances(MODEL_DIRS[0]))["payload"]["instances"]
        if isinstance(row, list)
    )
    before = daemon.samples().get(("predict_batch_size_sum", path), 0)
    assert (
        daemon.ask("POST", path, json.dumps({"payload": {"instances": row}}).encode()).status == 200
    )
    assert daemon.samples()["predict_batch_size_sum", path] - before == 1


def test_metrics_show_the_model_behind_each_route(daemon: Daemon) -> None:
    shown = {
        key[1:]: value for key, value in daemon.samples().items() if key[0] == "predict_model_info"
    }
    routes = daemon.ask("GET", "/ready").json["routes"]
    assert shown == {
        (path, info["model"], info["digest"]): 1 for path, info in routes.items() if info
    }
    assert (
        daemon.ask("GET", "/metrics").headers["content-type"]
        == "text/plain; version=0.0.4; charset=utf-8"
    )


class Swapped:
    """A hook whose model was replaced before this worker was forked; loading it takes a moment."""

    ready, quick_bytes = True, 0
    digest = "of the start"

    @property
    def info(self) -> dict[str, str]:
        return {"model": "a", "digest": self.digest}

    def refresh(self) -> None:
        time.sleep(0.1)
        self.digest = "of now"


class NaiveApp(App):
    """Looks for replaced models only once it serves."""

    async def _refresh_models(self) -> None:
        await asyncio.sleep(0)


def served_first(kind: type[App]) -> str:
    """The digest of the model that a new worker has in service when it begins to accept connections."""
    endpoint = Endpoint("a", lambda msg: {})
    endpoint.hook = Swapped()
    events = [{"type": "lifespan.startup"}]
    seen: list[str] = []

    async def receive() -> dict[str, str]:
        return events.pop() if events else {"type": "lifespan.shutdown"}

    async def send(event: Any) -> None:
        seen.append(endpoint.info["digest"])

    asyncio.run(kind([endpoint], read_settings({}))({"type": "lifespan"}, receive, send))
    return seen[0]


def test_a_new_worker_accepts_nobody_before_it_has_the_model_of_now() -> None:
    assert served_first(App) == "of now"
    assert served_first(NaiveApp) == "of the start"
