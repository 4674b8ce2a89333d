"""Ports, and HTTP as raw bytes, for tests of these bytes.

This module defines free_port, is_listening, connect, raw_request, request_head, request_bytes,
send, read_response, read_last_response, Response.
"""

import http.client
import json
import socket
from http.client import HTTPMessage
from typing import Any, NamedTuple

TIMEOUT_SECONDS = 20


class Response(NamedTuple):
    """A response on a raw connection, with the attributes that `requests` uses.

    The names of headers are not case-sensitive.
    """

    status_code: int
    headers: HTTPMessage
    content: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.content)


def free_port() -> int:
    """Return a port of this machine that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Return whether a process of this machine accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def connect(port: int, data: bytes = b"", seconds: float = TIMEOUT_SECONDS) -> socket.socket:
    """Open a connection and send `data` on it unchanged."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    connection.sendall(data)
    return connection


def raw_request(line: str, *headers: str) -> bytes:
    """Return a request line, unchanged headers, and the empty line."""
    return "\r\n".join([line, "Host: here", *headers, "", ""]).encode("latin-1")


def request_head(path: str, *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    """Return the head of a request, with headers each as `Name: value`."""
    return raw_request(f"{method} {path} HTTP/{version}", *headers)


def request_bytes(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """Return a complete request, whose body is JSON, as it is sent."""
    described = headers
    if body:
        described = (*headers, "Content-Type: application/json", f"Content-Length: {len(body)}")
    return request_head(path, *described, method=method) + body


def read_response(connection: socket.socket, method: str = "GET") -> Response:
    """Read the next response on a connection; HEAD's has no body."""
    parsed = http.client.HTTPResponse(connection, method=method)
    parsed.begin()
    return Response(parsed.status, parsed.headers, parsed.read())


def read_last_response(connection: socket.socket) -> Response:
    """Read a response after which the server must close the connection."""
    response = read_response(connection)
    assert response.headers["Connection"] == "close"
    assert connection.recv(1) == b""
    return response


def send(port: int, data: bytes) -> Response:
    """Send bytes on a separate connection and return the one response."""
    with connect(port, data) as connection:
        return read_response(connection)
