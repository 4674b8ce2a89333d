"""Requests of common HTTP clients: curl, Java, Python; over IPv4 and IPv6.

The control for requests with an upgrade is in test_http_protocol.py.
"""

import http.client
import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.applications import routes, write_application
from support.commands import ROOT
from support.network import free_port
from support.server import JSON, Server, error_in

BODY = '{"payload": "é"}'
ANSWER = {"payload": {"echo": "é"}}
TYPE = ("-H", "Content-Type: application/json")
LARGE = json.dumps({"payload": "x" * 3_000_000})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of an application without models."""
    directory = tmp_path_factory.mktemp("clients")
    write_application(directory)
    with Server(directory, routes("echo", "fail")) as server:
        yield server.wait_until_ready()


def curl(url: str, *options: str, body: str = BODY) -> tuple[int, str]:
    """Post a body with curl; return the status and the body of the response."""
    command = ["curl", "-q", "--noproxy", "*", "-s", "-m", "10", "-w", "\n%{http_code}", *options]
    done = subprocess.run(
        [*command, url], input=body, capture_output=True, encoding="utf-8", timeout=20
    )
    content, _, status = done.stdout.rpartition("\n")
    return int(status), content


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--http2",),
        ("--http1.0",),
        ("-H", "Transfer-Encoding: chunked"),
        ("--http2", "-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect: 100-continue"),
        ("--http2", "-H", "Expect: 100-continue"),
        ("--compressed",),
        ("-H", "Connection: close"),
        ("-H", "Accept: text/html"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("body", [BODY, LARGE, f"\ufeff{BODY}"], ids=["small", "large", "mark"])
def test_server_answers_curl(server: Server, options: tuple[str, ...], body: str) -> None:
    status, answer = curl(f"{server.url}/echo", *TYPE, *options, "--data-binary", "@-", body=body)
    payload = json.loads(body.removeprefix("\ufeff"))["payload"]
    assert (status, json.loads(answer)) == (200, {"payload": {"echo": payload}})


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--data-binary", "@-"), 415, "application/x-www-form-urlencoded"),
        (("-F", "file=@-"), 415, "multipart/form-data"),
        ((*TYPE, "-T", "-"), 405, "expected POST, found PUT"),
        ((*TYPE, "-X", "OPTIONS", "--data-binary", "@-"), 405, "expected POST, found OPTIONS"),
        (
            (*TYPE, "-H", "Content-Encoding: gzip", "--data-binary", "@-"),
            415,
            "Content-Encoding 'gzip'. Send the body without compression.",
        ),
        (("-H", f"{TYPE[1]}; charset=utf-16", "--data-binary", "@-"), 415, "charset 'utf-16'"),
        (("--request-target", "*", "-X", "OPTIONS"), 404, "Not Found"),
    ],
)
def test_server_sends_curl_the_reason(
    server: Server, options: tuple[str, ...], status: int, message: str
) -> None:
    found, answer = curl(f"{server.url}/echo", *options)
    error = json.loads(answer)["error"]
    assert (found, sorted(error)) == (status, ["code", "message", "path"])
    assert message in error["message"]


@pytest.mark.skipif(not shutil.which("java"), reason="Java is not installed")
@pytest.mark.parametrize("options", [(), ("expect",)])
def test_server_answers_java(server: Server, options: tuple[str, ...]) -> None:
    command = ["java", "-Dfile.encoding=UTF-8", str(ROOT / "tests/support/clients/Post.java")]
    done = subprocess.run(
        [*command, f"{server.url}/echo", '{"payload": "e"}', *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == '200 {"payload":{"echo":"e"}}\n' * 2, done.stderr


def test_server_answers_the_clients_of_python(server: Server) -> None:
    data = BODY.encode()
    assert requests.post(f"{server.url}/echo", data=data, headers=JSON, timeout=10).json() == ANSWER
    assert requests.post(f"{server.url}/echo", json={"payload": "é"}, timeout=10).json() == ANSWER
    chunks = requests.post(f"{server.url}/echo", data=iter([data]), headers=JSON, timeout=10)
    assert chunks.json() == ANSWER

    request = urllib.request.Request(f"{server.url}/echo?a=1", data, JSON)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        assert json.load(response) == ANSWER

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for target in ("/echo", "/%65cho", f"{server.url}/echo", "/echo?a=%20b"):
        connection.request("POST", target, data, JSON)
        assert json.load(connection.getresponse()) == ANSWER
    connection.close()


@pytest.mark.parametrize("path", ["/", "/none", "/health", "/openapi.json", "/echo"])
def test_response_to_head_has_the_headers_of_get(server: Server, path: str) -> None:
    head = server.request("HEAD", path, headers={})
    get = server.get(path)

    assert head.status_code == get.status_code
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert not head.content
    # The message of an error for /echo contains the method.
    if path != "/echo":
        assert head.headers["Content-Length"] == str(len(get.content))


def has_ipv6() -> bool:
    """Return whether this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="IPv6 is not available")
@pytest.mark.parametrize(
    ("host", "addresses"),
    [("::1", ["[::1]"]), ("::", ["[::1]", "127.0.0.1"]), ("[::]", ["[::1]", "127.0.0.1"])],
)
def test_server_listens_on_ipv6(tmp_path: Path, host: str, addresses: list[str]) -> None:
    write_application(tmp_path)
    port = free_port()
    with Server(tmp_path, routes("echo"), HOST=host, PORT=str(port)) as server:
        server.url = f"http://{addresses[0]}:{port}"
        server.wait_until_ready()
        shown = f"[{host.strip('[]')}]:{port}"
        assert f"Answering POST http://{shown}/echo" in server.output
        for address in addresses:
            server.url = f"http://{address}:{port}"
            assert server.post("/echo", BODY.encode()).json() == ANSWER

        with Server(tmp_path, routes("echo"), HOST=host, PORT=str(port)) as second:
            assert second.wait() == 69
            assert f"{shown}: Address already in use. Set another PORT." in second.output


def test_error_of_a_wrong_path_lists_where_the_routes_are(server: Server) -> None:
    response = server.post("/echo/", BODY.encode())
    assert response.status_code == 404
    assert error_in(response)["message"].endswith("/ lists the routes")
