"""Builds with both engines trust a CA of the system's certificate store.

The index is real: it answers over TLS on this machine, with a certificate that its own CA signed.
"""

import ensurepip
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clones import make_clone
from support.commands import ROOT, Completed, output_of, run
from support.docker import WHEELS, build_builder, inspect, remove_images, s2i_build
from support.tls_index import (
    STORE,
    WITHOUT_CERTIFICATES,
    TlsIndex,
    needs_namespace,
    system_store,
)

UNTRUSTED = "invalid peer certificate"
ENVIRONMENT = "TRAIN_MODULE=app\nTRAIN_FUNCTION=train\n"
WITH_CA = "FROM {base}\nCOPY company.crt /usr/local/share/ca-certificates/\n"
BUILDER = f"certificates{os.getpid()}-builder"
IMAGE = f"certificates{os.getpid()}-train"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[TlsIndex]:
    folder = tmp_path / "index"
    folder.mkdir()
    with TlsIndex(folder) as index:
        yield index


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The certificate of a CA that did not sign the index's certificate."""
    folder = tmp_path / "other"
    folder.mkdir()
    return TlsIndex(folder).authority


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """An application that needs the index's package."""
    context = tmp_path / "context"
    (context / ".s2i").mkdir(parents=True)
    (context / ".s2i/environment").write_text(ENVIRONMENT)
    (context / "app.py").write_text("def train(msg):\n    import alpha\n    print(alpha.VERSION)\n")
    (context / "requirements.txt").write_text("alpha==1.0\n")
    return context


# The local engine


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A clone without environments, whose cache has only uv."""
    clone = make_clone(tmp_path)
    for shared in ("cache", "environments"):
        (clone / ".local" / shared).unlink()
        (clone / ".local" / shared).mkdir()
    for uv in (ROOT / ".local/cache").glob("uv-*"):
        (clone / ".local/cache" / uv.name).symlink_to(uv.resolve())
    return clone


def build(
    clone: Path, context: Path, index: TlsIndex, prefix: tuple[str, ...] = (), **env: str
) -> Completed:
    """Build a train image with the local engine, after a prefix for commands."""
    builder = clone / "engines/local-build.sh"
    variables = {"PIP_INDEX_URL": index.url, "UV_DEFAULT_INDEX": index.url, **env}
    words = [f"{name}={value}" for name, value in variables.items()]
    return run(*WITHOUT_CERTIFICATES, *words, *prefix, builder, "tls", context, "train")


@needs_namespace
def test_the_local_engine_trusts_the_systems_store(
    fresh: Path, context: Path, index: TlsIndex
) -> None:
    output_of(build(fresh, context, index, system_store(index.authority)))
    trained = run(fresh / "engines/local.sh", "train", "tls", env={"PAYLOAD": "{}"})
    assert output_of(trained) == "1.0\n"


@needs_namespace
def test_without_the_ca_in_the_store_the_local_engine_fails(
    fresh: Path, context: Path, index: TlsIndex, other: Path
) -> None:
    failed = build(fresh, context, index, system_store(other))
    assert (failed.returncode, UNTRUSTED in failed.stderr) == (1, True)


@needs_namespace
def test_without_the_setting_uv_does_not_read_the_store(
    fresh: Path, context: Path, index: TlsIndex
) -> None:
    # The old behaviour, which is also a setting.
    store = system_store(index.authority)
    failed = build(fresh, context, index, store, UV_SYSTEM_CERTS="0")
    assert (failed.returncode, UNTRUSTED in failed.stderr) == (1, True)


@needs_namespace
def test_an_empty_store_is_reported_as_docs_troubleshooting_has_it(
    fresh: Path, context: Path, index: TlsIndex
) -> None:
    empty = system_store(Path(os.devnull))
    reason = "No CA certificates were loaded from the system"
    assert reason in build(fresh, context, index, empty).stderr
    assert f"`{reason}`" in (ROOT / "docs/troubleshooting.md").read_text()
    output_of(build(fresh, context, index, empty, SSL_CERT_FILE=str(index.authority)))


@needs_namespace
def test_ssl_cert_file_replaces_the_systems_store(
    fresh: Path, context: Path, index: TlsIndex, other: Path
) -> None:
    store = system_store(index.authority)
    failed = build(fresh, context, index, store, SSL_CERT_FILE=str(other))
    assert (failed.returncode, UNTRUSTED in failed.stderr) == (1, True)


def test_a_pip_conf_names_the_certificate(
    fresh: Path, context: Path, index: TlsIndex, tmp_path: Path
) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\ncert = {index.authority}\n")
    output_of(build(fresh, context, index, PIP_CONFIG_FILE=str(file)))


# install.sh, which also runs in images without mounted settings


def install(fresh: Path, index: TlsIndex, *words: str) -> Completed:
    """Run install.sh with variables, each as NAME=value."""
    requirements = fresh / "wanted.txt"
    requirements.write_text("alpha==1.0\n")
    places = (f"CACHE={fresh}/.local/cache", f"UV_DEFAULT_INDEX={index.url}")
    installer = fresh / "builders/install.sh"
    return run(*WITHOUT_CERTIFICATES, *places, *words, installer, fresh / "venv", requirements)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_a_variable_of_an_image_names_the_certificate(
    fresh: Path, index: TlsIndex, variable: str
) -> None:
    output_of(install(fresh, index, f"{variable}={index.authority}"))


def test_without_such_a_variable_the_installation_fails(fresh: Path, index: TlsIndex) -> None:
    failed = install(fresh, index)
    assert (failed.returncode, UNTRUSTED in failed.stderr) == (1, True)


# pip, which fetches uv


def fetch(clone: Path, index: TlsIndex, prefix: tuple[str, ...] = (), **env: str) -> Completed:
    """Run fetch_uv.sh for a file that pins the index's package in place of uv."""
    pin = f"alpha==1.0 --hash=sha256:{index.digest}\n"
    (clone / "builders/runtime/requirements_install.txt").write_text(pin)
    variables = {"PIP_INDEX_URL": index.url, "PYTHON": sys.executable, **env}
    words = [f"{name}={value}" for name, value in variables.items()]
    fetcher = clone / "builders/fetch_uv.sh"
    return run(*WITHOUT_CERTIFICATES, *words, *prefix, fetcher, clone / "fetched")


@needs_namespace
def test_pip_trusts_the_systems_store(clone: Path, index: TlsIndex) -> None:
    output_of(fetch(clone, index, system_store(index.authority)))
    imported = run(clone / "fetched/bin/python", "-c", "import alpha; print(alpha.VERSION)")
    assert output_of(imported) == "1.0\n"


@needs_namespace
def test_without_the_ca_in_the_store_pip_fails(clone: Path, index: TlsIndex, other: Path) -> None:
    failed = fetch(clone, index, system_store(other))
    assert (failed.returncode, (clone / "fetched").exists()) == (1, False)
    # In its quiet mode, pip does not print the reason.
    assert "No matching distribution found for alpha==1.0" in failed.stderr


def reads_store_by_itself(folder: Path) -> bool:
    """Return whether the pip of this Python reads the store without its option.

    Since version 24.2, every pip does. Debian's older ones have the store in place of their list.
    """
    version = tuple(int(part) for part in ensurepip.version().split(".")[:2])
    output_of(run(sys.executable, "-m", "venv", folder))
    location = "from pip._vendor import certifi; print(certifi.where())"
    authorities = output_of(run(folder / "bin/python", "-c", location)).strip()
    return version >= (24, 2) or Path(authorities).is_relative_to(STORE)


@needs_namespace
def test_without_its_option_an_old_pip_does_not_read_the_store(
    clone: Path, index: TlsIndex, tmp_path: Path
) -> None:
    script = clone / "builders/fetch_uv.sh"
    text = script.read_text()
    assert "export PIP_CERT" in text
    script.write_text(text.replace("export PIP_CERT", "unset PIP_CERT"))

    old = fetch(clone, index, system_store(index.authority))
    assert (old.returncode == 0) == reads_store_by_itself(tmp_path / "environment")


@needs_namespace
def test_the_certificate_of_a_pip_conf_wins_over_the_store(
    clone: Path, index: TlsIndex, other: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(f"[install]\ncert = {index.authority}\n")
    output_of(fetch(clone, index, system_store(other), PIP_CONFIG_FILE=str(file)))


# Docker


@pytest.fixture
def builder(docker_clone: Path, index: TlsIndex) -> Iterator[str]:
    """A builder image on a base image that has the CA in its store."""
    base = inspect("s2i-model-python")["Config"]["Labels"]["base-image"]
    text = WITH_CA.format(base=base) + "RUN update-ca-certificates\n"
    (index.folder / "Dockerfile").write_text(text)
    try:
        output_of(run("docker", "build", "--quiet", "--tag", f"{BUILDER}-base", index.folder))
        build_builder("model", f"{BUILDER}-base", BUILDER)
        yield BUILDER
    finally:
        remove_images(f"certificates{os.getpid()}")


def build_in_docker(context: Path, index: TlsIndex, builder: str, *arguments: str) -> Completed:
    """Build an image by hand; the container reaches this machine's loopback."""
    settings = index.folder / "settings"
    shutil.rmtree(settings, ignore_errors=True)
    settings.mkdir()
    (settings / "env").write_text(f"export UV_DEFAULT_INDEX={index.url}\n")
    mounted = ("--volume", f"{settings}:/run/s2i-settings:ro")
    return s2i_build(context, builder, IMAGE, *WHEELS, *mounted, "--network", "host", *arguments)


@pytest.mark.docker
def test_only_with_the_ca_and_the_setting_a_docker_build_trusts_the_index(
    context: Path, index: TlsIndex, builder: str
) -> None:
    without_ca = build_in_docker(context, index, "s2i-model-python")
    without_setting = build_in_docker(context, index, builder, "-e", "UV_SYSTEM_CERTS=0")
    for failed in (without_ca, without_setting):
        assert UNTRUSTED in failed.stderr
    assert run("docker", "image", "inspect", IMAGE).returncode != 0

    output_of(build_in_docker(context, index, builder))
    variables = ("-e", "TRAIN=1", "-e", "PAYLOAD={}")
    assert output_of(run("docker", "run", "--rm", *variables, IMAGE)) == "1.0\n"
