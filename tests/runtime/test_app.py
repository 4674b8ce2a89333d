"""The application over real connections: routing, errors, the event loop.

It serves the real models and the sample functions of tests/support/apps.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from runtime.app import App
from runtime.endpoint import Endpoint
from runtime.settings import read_settings
from support.commands import wait_until
from support.model_server import model_server
from support.models import (
    MODEL_DIRS,
    example,
    example_body,
    example_rows,
    instances_body,
    object_row,
    setting,
)
from support.network import read_last_response, read_response, request_bytes, request_head, send
from support.server import JSON, PATHS, Server, error_in

FUNCTIONS = ("echo", "sleep", "fail", "end")
MAX_ROWS = 14_000
MODEL_PATH = PATHS[MODEL_DIRS[0]]
VALID_BODY = b'{"payload": 1}'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of every model and of FUNCTIONS, with one worker."""
    directory = tmp_path_factory.mktemp("app")
    with model_server(directory, trained, *FUNCTIONS, MAX_ROWS=str(MAX_ROWS)) as server:
        yield server.wait_until_ready()


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_server_answers_the_test_instances_as_expected(server: Server, model: str) -> None:
    sample = example(model)
    response = server.post(PATHS[model], example_body(model))

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["payload"]["predictions"] == sample["expected"]
    # The test instances must have rows of both forms.
    assert {type(row) for row in sample["payload"]["instances"]} == {list, dict}


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_server_answers_a_row_the_same_in_every_form_and_in_a_batch(
    server: Server, model: str
) -> None:
    columns = list(object_row(model))
    batch = server.post(PATHS[model], example_body(model)).json()["payload"]

    for row, prediction, scores in zip(
        example_rows(model), batch["predictions"], batch["scores"], strict=True
    ):
        values = list(row.values()) if isinstance(row, dict) else row
        by_name = row if isinstance(row, dict) else dict(zip(columns, row))
        for form in (values, by_name):
            alone = server.predict(PATHS[model], [form]).json()["payload"]
            assert alone["predictions"] == [prediction]
            assert alone["scores"][0] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("model", MODEL_DIRS)
def test_server_names_row_and_column_of_a_wrong_value(server: Server, model: str) -> None:
    row = object_row(model)
    response = server.predict(PATHS[model], [row, {**row, "age": "old"}])

    assert response.status_code == 422
    assert error_in(response) == {
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
        ("/echo", VALID_BODY, FORM, 415, "unsupported_media_type"),
        ("/fail", VALID_BODY, JSON, 500, "internal_error"),
        ("/end", VALID_BODY, JSON, 500, "internal_error"),
        ("/none", VALID_BODY, JSON, 404, "not_found"),
        ("/echo/", VALID_BODY, JSON, 404, "not_found"),
        ("/health/", VALID_BODY, JSON, 404, "not_found"),
        ("/openapi.json", VALID_BODY, JSON, 405, "method_not_allowed"),
        ("/", VALID_BODY, JSON, 405, "method_not_allowed"),
        ("/ready", VALID_BODY, JSON, 405, "method_not_allowed"),
    ],
)
def test_server_rejects_a_bad_request_with_status_and_code(
    server: Server, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = server.post(path, body, headers)

    assert response.status_code == status
    assert error_in(response)["code"] == code
    assert b"private detail" not in response.content
    assert b"<" not in response.content


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("//echo//none", 404, "not_found"),
        (f"/{MODEL_PATH}", 400, "bad_request"),
        (MODEL_PATH.replace("/predict", "//predict"), 404, "not_found"),
    ],
)
def test_path_with_doubled_slashes_returns_a_json_error(
    server: Server, path: str, status: int, code: str
) -> None:
    # `requests` would send the path with single slashes.
    response = send(server.port, request_bytes("POST", path, VALID_BODY))

    assert response.status_code == status
    assert error_in(response)["code"] == code
    assert b"<" not in response.content


def test_server_logs_the_traceback_of_a_failing_function(server: Server) -> None:
    def logged_tracebacks() -> int:
        return server.output.count("KeyError: 'a private detail'")

    before = logged_tracebacks()
    assert server.post("/fail", VALID_BODY).status_code == 500

    assert wait_until(lambda: logged_tracebacks() == before + 1, 2)


def test_server_reads_a_body_without_content_type_as_json(server: Server) -> None:
    response = server.post("/echo", VALID_BODY, headers={})

    assert "Content-Type" not in response.request.headers
    assert response.json() == {"payload": {"echo": 1}}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/echo", MODEL_PATH])
def test_predict_route_accepts_post_only(server: Server, path: str, method: str) -> None:
    response = server.request(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    if method == "HEAD":
        return
    message = f"expected POST, found {method}"
    assert error_in(response) == {"code": "method_not_allowed", "message": message, "path": None}


def test_root_page_lists_every_route_as_text(server: Server) -> None:
    response = server.get("/")

    models = [f"POST {PATHS[model]}  {setting(model, 'MODEL_NAME')}  ready" for model in MODEL_DIRS]
    functions = [f"POST /{name}    ready" for name in FUNCTIONS]
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.text.splitlines() == models + functions


@pytest.mark.parametrize(("path", "status"), [("/echo", 200), (MODEL_PATH, 422)])
def test_server_rejects_a_batch_of_too_many_rows_with_both_numbers(
    server: Server, path: str, status: int
) -> None:
    # The model rejects rows without columns, but only after the batch has been accepted.
    assert server.predict(path, [[]] * MAX_ROWS).status_code == status

    response = server.predict(path, [[]] * (MAX_ROWS + 1))
    message = "found 14,001 rows, expected at most 14,000. Send fewer rows at once."
    assert response.status_code == 413
    assert error_in(response) == {"code": "too_many_rows", "message": message, "path": "instances"}


def test_server_survives_clients_that_disconnect_early(server: Server) -> None:
    output_before = server.output
    unfinished_requests = [
        b"POST /ec",
        request_head("/echo"),
        request_head("/echo", "Content-Length: 100") + VALID_BODY,
        request_bytes("POST", "/sleep", b'{"payload": 0.2}'),
    ]
    for data in unfinished_requests:
        server.connect(data).close()

    # The function still runs although its client has disconnected.
    time.sleep(0.3)
    assert server.post("/echo", VALID_BODY).status_code == 200
    assert server.output == output_before


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        request_head("/echo", "Content-Length: abc"),
        request_head("/echo", "Content-Length: -1"),
    ],
)
def test_server_answers_malformed_http_without_html_and_traceback(
    server: Server, data: bytes
) -> None:
    with server.connect(data) as connection:
        response = read_last_response(connection)

    assert response.status_code == 400
    assert b"<" not in response.content
    assert "uvicorn.error: the request is not valid HTTP (" in server.output
    assert server.post("/echo", VALID_BODY).status_code == 200


@pytest.mark.serial
def test_server_answers_on_a_kept_connection_without_delay(server: Server) -> None:
    seconds = []
    with server.connect() as connection:
        for model in MODEL_DIRS * 10:
            started = time.perf_counter()
            connection.sendall(request_bytes("POST", PATHS[model], example_body(model)))
            assert read_response(connection).status_code == 200
            seconds.append(time.perf_counter() - started)

    # Nagle's algorithm against a delayed acknowledgement would cost 0.04 s.
    assert statistics.median(seconds) < 0.03


def test_connection_stays_usable_after_a_rejected_request(server: Server) -> None:
    with server.connect() as connection:
        for path, body, status in (
            ("/echo", b"{", 400),
            ("/none", VALID_BODY, 404),
            ("/fail", VALID_BODY, 500),
            ("/echo", VALID_BODY, 200),
        ):
            connection.sendall(request_bytes("POST", path, body))
            assert read_response(connection).status_code == status


def health_times_during(server: Server, path: str, body: bytes, requests: int) -> list[float]:
    """Return the times of /health in seconds while other requests run.

    The requests must succeed.
    """
    seconds = []
    with ThreadPoolExecutor(requests) as clients:
        responses = [clients.submit(server.post, path, body) for _ in range(requests)]
        while not all(response.done() for response in responses):
            started = time.perf_counter()
            assert server.get("/health").status_code == 200
            seconds.append(time.perf_counter() - started)
            time.sleep(0.005)

    assert [response.result().status_code for response in responses] == [200] * requests
    return seconds


@pytest.mark.serial
@pytest.mark.parametrize("model", MODEL_DIRS)
def test_large_batches_do_not_block_the_event_loop(server: Server, model: str) -> None:
    rows = (example_rows(model) * MAX_ROWS)[:MAX_ROWS]
    body = instances_body(rows)

    started = time.perf_counter()
    health_seconds = health_times_during(server, PATHS[model], body, requests=4)
    seconds = time.perf_counter() - started

    assert len(health_seconds) >= 4
    assert statistics.median(health_seconds) < seconds / 10


@pytest.mark.serial
def test_sleeping_function_does_not_block_the_event_loop(server: Server) -> None:
    health_seconds = health_times_during(server, "/sleep", b'{"payload": 2}', requests=1)

    assert len(health_seconds) > 20
    assert max(health_seconds) < 0.5


class ReplacedModel:
    """A hook whose model file was replaced before the fork; loading it takes a moment."""

    ready = True
    quick_bytes = 0
    digest = "at start-up"

    @property
    def info(self) -> dict[str, str]:
        """The digest of the model in memory."""
        return {"model": "a", "digest": self.digest}

    def refresh(self) -> None:
        """Load the new file."""
        time.sleep(0.1)
        self.digest = "of the new file"


class NaiveApp(App):
    """An application that loads replaced models only after its start-up."""

    async def _refresh_models(self) -> None:
        await asyncio.sleep(0)


def digest_at_first_accept(application: type[App]) -> str:
    """Return the digest of the model in memory when a new worker accepts connections."""
    endpoint = Endpoint("a", lambda msg: {})
    endpoint.hook = ReplacedModel()
    events = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    digests: list[str] = []

    async def receive() -> dict[str, str]:
        return events.pop()

    async def send_event(event: Any) -> None:
        digests.append(endpoint.info["digest"])

    app = application([endpoint], read_settings({}))
    asyncio.run(app({"type": "lifespan"}, receive, send_event))
    return digests[0]


def test_new_worker_loads_replaced_models_before_it_accepts_connections() -> None:
    assert digest_at_first_accept(App) == "of the new file"
    assert digest_at_first_accept(NaiveApp) == "at start-up"
