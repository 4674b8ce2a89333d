"""A package index over TLS on this machine, with a CA of its own.

TlsIndex, WITHOUT_CERTIFICATES; system_store, a prefix for commands, and the mark needs_namespace.
"""

import os
import secrets
import shlex
import ssl
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.clones import build_wheel
from support.commands import output_of, run

# A prefix for commands: no setting of this machine names an index or a certificate. pip and uv try
# an untrusted index only once.
WITHOUT_CERTIFICATES = (
    "env",
    *("-u", "SSL_CERT_FILE", "-u", "SSL_CERT_DIR", "-u", "REQUESTS_CA_BUNDLE"),
    *("-u", "CURL_CA_BUNDLE", "-u", "PIP_CERT", "-u", "PIP_FIND_LINKS", "-u", "UV_FIND_LINKS"),
    *("PIP_CONFIG_FILE=/dev/null", "PIP_RETRIES=0", "UV_HTTP_RETRIES=0"),
)
STORE = Path("/etc/ssl/certs")
# A namespace for mounts hides the machine's store from one command.
NAMESPACE = ["unshare", "--mount"]
if os.getuid() != 0:
    NAMESPACE += ["--user", "--map-root-user"]
AUTHORITY = """
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
subjectAltName = IP:127.0.0.1
authorityKeyIdentifier = keyid
extendedKeyUsage = serverAuth
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def has_namespace() -> bool:
    """Return whether this user may mount another store over the system's."""
    return run("sh", "-c", f"{shlex.join(NAMESPACE)} mount --bind /tmp {STORE}").returncode == 0


needs_namespace = pytest.mark.skipif(
    not has_namespace(), reason=f"this needs a namespace for mounts, and {STORE}"
)


def system_store(authority: Path) -> tuple[str, ...]:
    """Return a prefix for commands: the system's store has only this certificate."""
    script = f"""set -e
        mount -t tmpfs none {STORE}
        cp "$0" {STORE}/ca-certificates.crt
        openssl rehash {STORE} >/dev/null
        exec "$@" """
    return (*NAMESPACE, "sh", "-c", script, str(authority))


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve a folder without a log."""

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """A server on which a failed handshake is no event."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Print nothing."""


class TlsIndex:
    """An index with the package alpha 1.0; a context in which it answers.

    It also has a package with the name msgspec, which each train image installs.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.authority = folder / "company.crt"
        # A name that no earlier index had, because uv keeps what an index has answered.
        self.name = secrets.token_hex(8)
        packages = folder / "public" / self.name
        packages.mkdir(parents=True)
        self.digest = build_wheel(packages / "alpha", "alpha")
        build_wheel(packages / "msgspec", "msgspec")
        self.sign()

    def openssl(self, *arguments: object) -> None:
        """Run openssl in the folder."""
        output_of(run("openssl", *arguments, cwd=self.folder))

    def sign(self) -> None:
        """Create a CA, and a server certificate that it signs."""
        (self.folder / "openssl.cnf").write_text(AUTHORITY)
        settings = ("-config", "openssl.cnf")
        subject = ("-subj", f"/CN={self.name}")
        authority = ("-keyout", "ca.key", "-out", self.authority)
        self.openssl("req", "-x509", "-days", 2, *settings, *KEY, *subject, *authority)

        server = ("-keyout", "server.key", "-out", "server.csr")
        self.openssl("req", *settings, *KEY, "-subj", "/CN=index", *server)
        signer = ("-CA", self.authority, "-CAkey", "ca.key", "-CAcreateserial", "-days", 2)
        extensions = ("-extfile", "openssl.cnf", "-extensions", "server")
        request = ("-in", "server.csr", "-out", "server.crt")
        self.openssl("x509", "-req", *signer, *extensions, *request)

    @property
    def url(self) -> str:
        """Return the address for pip and uv."""
        return f"https://127.0.0.1:{self.server.server_port}/{self.name}"

    def __enter__(self) -> "TlsIndex":
        handler = partial(QuietHandler, directory=str(self.folder / "public"))
        self.server = Server(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
