"""Print what a user must know about this machine, as OK, WARN or FAIL.

Usage: doctor.py        (engines/doctor.sh runs it and sets the variables)

The exit code is 1 if a finding is FAIL. FORMAT=json prints the findings as JSON. This module uses
only the standard library, and runs on Python 3.9.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ENGINES = Path(__file__).resolve().parent
sys.path.insert(0, str(ENGINES))
from pip_settings import UnusableSetting, settings  # noqa: E402
from port import listen_problem, number_problem  # noqa: E402

ROOT = ENGINES.parent
GIGABYTE = 10**9
# The environments of the three models need 2 GB, and a training needs less than one.
DISK_BYTES = 4 * GIGABYTE
MEMORY_BYTES = 2 * GIGABYTE
INDEX_SECONDS = 10
# pip has no command that prints its default index.
DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
BASE_IMAGE = "python:3.13-slim"
OK = "OK"
WARN = "WARN"
FAIL = "FAIL"


class Finding(NamedTuple):
    """The result of one check; the message includes what to do."""

    check: str
    status: str
    message: str


def docker(variables: dict[str, str]) -> Finding:
    """Check the Docker engine and s2i. Without ENGINE=docker, they may be missing."""
    problem = variables["DOCKER_PROBLEM"]
    if not problem:
        return Finding("docker", OK, "a Docker engine and s2i are available")
    if variables["ENGINE"] == "docker":
        return Finding("docker", FAIL, f"{problem}. ENGINE=local needs neither Docker nor s2i.")
    return Finding("docker", WARN, f"{problem}. The local engine is used.")


def base_image(variables: dict[str, str]) -> Finding:
    """Check whether the base image of the builder images is on this machine."""
    image = variables.get("BASE_IMAGE") or used_base_image() or BASE_IMAGE
    if printed("docker", "image", "inspect", image):
        return Finding("base image", OK, f"{image} is on this machine")
    advice = "The first build pulls it. If that fails, set BASE_IMAGE to another image."
    return Finding("base image", WARN, f"{image} is not on this machine. {advice}")


def used_base_image() -> str:
    """Return the base image of the builder images, or "" if they do not exist."""
    template = '{{index .Config.Labels "base-image"}}'
    return printed("docker", "image", "inspect", "--format", template, "s2i-model-python").strip()


def printed(*command: str) -> str:
    """Return what a command prints; "" if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INDEX_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def python(variables: dict[str, str]) -> Finding:
    """Check whether a Python for environments exists; images have their own."""
    problem = variables["PYTHON_PROBLEM"]
    if not problem:
        version = printed(variables["PYTHON"], "-V").strip()
        if printed(variables["PYTHON"], "-c", "import ensurepip, venv; print(1)"):
            return Finding("python", OK, f"{version} ({variables['PYTHON']})")
        advice = "On Debian and Ubuntu: apt-get install python3-venv"
        problem = f"{variables['PYTHON']} cannot create a virtual environment. {advice}"
    uses_docker = variables["ENGINE"] != "local" and not variables["DOCKER_PROBLEM"]
    return Finding("python", WARN if uses_docker else FAIL, problem)


def programs(variables: dict[str, str]) -> Finding:
    """Report the versions of make and bash; this program runs only if they exist."""
    return Finding("make", OK, f"{variables['MAKE_VERSION']}, bash {variables['BASH_VERSION']}")


def disk(variables: dict[str, str]) -> Finding:
    """Check the free space, and report the size of .local."""
    free = shutil.disk_usage(ROOT).free
    used = printed("du", "-sk", str(ROOT / ".local")).split()
    size = f"{int(used[0]) * 1024 / GIGABYTE:.1f}" if used else "0"
    text = f"{free / GIGABYTE:.1f} GB free, {size} GB in .local (make clean removes it)"
    if free >= DISK_BYTES or used:
        return Finding("disk", OK, text)
    return Finding("disk", WARN, f"{text}. The three models need 2 GB. Free some space.")


def memory(variables: dict[str, str]) -> Finding:
    """Check the memory of this machine."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{size / GIGABYTE:.1f} GB"
    if size >= MEMORY_BYTES:
        return Finding("memory", OK, text)
    return Finding("memory", WARN, f"{text}. Training on large tables needs more.")


def index(variables: dict[str, str]) -> Finding:
    """Check whether the package index answers, with the settings of pip and uv."""
    try:
        found = settings()
    except UnusableSetting as error:
        return Finding("index", FAIL, f"{error}. Correct the file.")
    address = found.get("UV_DEFAULT_INDEX") or default_index(variables)
    if not address:
        return Finding("index", WARN, "not checked, because pip is missing. Install pip.")
    authority = found.get("SSL_CERT_FILE")
    host = urllib.parse.urlsplit(address).hostname or address
    proxies = {} if urllib.request.proxy_bypass(host) else urllib.request.getproxies()
    proxy = proxies.get(urllib.parse.urlsplit(address).scheme)
    through = f"through proxy {without_password(proxy)}" if proxy else "without a proxy"
    trusted = f"certificates of {authority or 'the system'}"
    text = f"{without_password(address)}, {through}, {trusted}"
    problem = index_problem(address, authority)
    if not problem:
        return Finding("index", OK, f"answers: {text}")
    # Packages that were downloaded before need no index.
    status = WARN if (ROOT / ".local" / "environments").is_dir() else FAIL
    advice = "See docs/engines.md, 'Proxies, indexes and certificates'."
    return Finding("index", status, f"{problem}: {text}. {advice}")


def default_index(variables: dict[str, str]) -> str:
    """Return the index that pip uses without a setting, or "" without pip."""
    return printed(variables.get("PYTHON") or sys.executable, "-c", DEFAULT_INDEX).strip()


def without_password(address: str) -> str:
    """Return an address without its user and password."""
    parts = urllib.parse.urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def index_problem(address: str, authority: str | None) -> str:
    """Return why a package index does not answer, or ""."""
    request = urllib.request.Request(f"{without_password(address).rstrip('/')}/pip/")
    user = urllib.parse.urlsplit(address).netloc.rpartition("@")[0]
    if user:
        credentials = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
        request.add_header("Authorization", f"Basic {credentials}")
    try:
        context = ssl.create_default_context(cafile=authority)
        with urllib.request.urlopen(request, timeout=INDEX_SECONDS, context=context):
            return ""
    except urllib.error.HTTPError as error:
        # An index without the package pip answers too.
        return "" if error.code == 404 else f"answers with status {error.code}"
    except (OSError, ValueError) as error:
        return f"does not answer ({getattr(error, 'reason', error)})"


def folders(variables: dict[str, str]) -> Iterator[Finding]:
    """Check the permissions of data/ and models/."""
    for name, mode, verb in (("data", os.R_OK, "read"), ("models", os.W_OK, "write")):
        folder = ROOT / name
        if os.access(folder, mode | os.X_OK):
            yield Finding(f"{name}/", OK, f"this user can {verb} it")
        else:
            problem = f"this user cannot {verb} {folder}"
            yield Finding(f"{name}/", FAIL, f"{problem}. Create it, or change its owner or mode.")


def port(variables: dict[str, str]) -> Finding:
    """Check whether the port of `make predict` is free."""
    number = variables.get("PORT") or "5111"
    problem = number_problem(number)
    if problem:
        return Finding("port", FAIL, problem)
    problem = listen_problem(int(number))
    if problem:
        return Finding("port", WARN, f"{number}: {problem}")
    return Finding("port", OK, f"{number} is free")


def git(variables: dict[str, str]) -> Finding:
    """Check whether images and model files can record the commit."""
    commit = printed("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD").strip()
    if commit:
        return Finding("git", OK, f"commit {commit}")
    advice = "Images and model files will record the commit as unknown."
    return Finding("git", WARN, f"git is missing, or this folder has no commit. {advice}")


def examine(variables: dict[str, str]) -> list[Finding]:
    """Return the findings of all checks."""
    findings = [docker(variables)]
    if findings[0].status == OK:
        findings.append(base_image(variables))
    for check in (python, programs, disk, memory, index):
        findings.append(check(variables))
    return [*findings, *folders(variables), port(variables), git(variables)]


def main() -> int:
    """Print the findings and return the exit code."""
    variables = dict(os.environ)
    findings = examine(variables)
    if variables.get("FORMAT") == "json":
        print(json.dumps({"findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        for finding in findings:
            print(f"{finding.status:5} {finding.check:11} {finding.message}")
    return 1 if any(finding.status == FAIL for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
