"""`make describe`: the description that it writes, and its warnings."""

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.commands import ROOT, make, output_of, run
from support.tables import write_table

from extras.describe.describe import describe
from utils.dataset.read import read_dataset
from utils.errors import TrainingError

RANDOM = random.Random(0)
ROWS = 60
COLUMNS: dict[str, list[str]] = {
    "id": [f"k{i}" for i in range(ROWS)],
    "row": [str(i) for i in range(ROWS)],
    "same": ["7"] * ROWS,
    "age": [RANDOM.choice(["", "17", "35.5", "90"]) for _ in range(ROWS)],
    "zip code": [RANDOM.choice(["01234", "4109", "99999"]) for _ in range(ROWS)],
    "joined": [f"0{i % 9 + 1}/0{i % 5 + 1}/2021" for i in range(ROWS)],
    "left": [f"{i % 28 + 1}.12.2021" for i in range(ROWS)],
    "country": [RANDOM.choice(["NA", "DE", "FR"]) for _ in range(ROWS)],
    "price": [f'"{RANDOM.randrange(9)},219.50 €"' for _ in range(ROWS)],
    "remarks": [f"it was {RANDOM.random()} and very good" for _ in range(ROWS)],
    "smoker": [RANDOM.choice(["true", "false", ""]) for _ in range(ROWS)],
    "y": [RANDOM.choice(["yes", "no"]) for _ in range(ROWS)],
}
COLUMNS["copy"] = ["u" if text == "yes" else "v" for text in COLUMNS["y"]]


def csv_of(columns: dict[str, list[str]]) -> str:
    """Return columns as a CSV."""
    rows = [",".join(row) for row in zip(*columns.values(), strict=True)]
    return "\n".join([",".join(columns), *rows, ""])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def described(
    data: Path, content: str | bytes, capsys: pytest.CaptureFixture[str], **variables: str
) -> tuple[dict[str, Any], str]:
    """Describe a table; return the parsed description and the output."""
    write_table(data, content)
    assert describe({"DATASET_NAME": "data/t.csv", "LABEL": "y", **variables}) == 0
    return tomllib.loads((data / "t.toml").read_text()), capsys.readouterr().out


def test_description_has_the_kinds_of_the_columns(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated, _ = described(data, csv_of(COLUMNS), capsys)
    assert stated == {
        "label": {"name": "y", "kind": "category"},
        "task": "classification",
        "ignore": ["id", "row", "same"],
        "columns": {
            "age": "number",
            "zip code": "category",
            "joined": "date",
            "left": {"kind": "date", "format": "%d.%m.%Y"},
            "country": "category",
            "price": {"kind": "number", "thousands": ",", "unit": "€"},
            "remarks": "text",
            "smoker": "boolean",
            "copy": "category",
        },
    }


def test_comments_summarize_the_columns(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described(data, csv_of(COLUMNS), capsys)
    lines = (data / "t.toml").read_text().splitlines()
    missing = round(100 * COLUMNS["age"].count("") / ROWS)
    assert f'age = "number"  # {missing} % missing, 3 distinct, 17 to 90' in lines
    assert any(line.endswith("# 28 distinct, 2021-12-01 to 2021-12-28") for line in lines)
    (label,) = (line for line in lines if line.startswith("label"))
    share = round(100 * COLUMNS["y"].count("yes") / ROWS)
    assert f"yes {share} %" in label
    (country,) = (line for line in lines if line.startswith("country"))
    assert country.count(" %") == 3


WARNINGS = [
    "column 'id' has a different value in almost every row, like an id. It is in `ignore`.",
    "column 'row' contains row numbers. It is in `ignore`.",
    "column 'same' is constant ('7'). It is in `ignore`.",
    "column 'zip code': it has numbers with leading zeros, so it is a category.",
    "column 'joined': %d/%m/%Y or %m/%d/%Y fit all dates. State one of them, or training stops.",
    "column 'country': NA is a category, because the others have two letters too.",
    "column 'copy' alone determines the label.",
]


def test_warnings_are_those_that_a_person_would_give(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output = described(data, csv_of(COLUMNS), capsys)
    found = [line for line in output.splitlines() if "Warning" in line]
    assert len(found) == len(WARNINGS)
    for line, warning in zip(found, WARNINGS, strict=True):
        assert line.startswith(f"---> Warning: {warning}")


def test_training_reads_what_was_written_once_the_dates_are_clear(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described(data, csv_of(COLUMNS), capsys)
    with pytest.raises(TrainingError, match="'joined': 2 date formats fit all rows"):
        read_dataset("data/t.csv")
    text = (data / "t.toml").read_text()
    stated = text.replace('joined = "date"', 'joined = {kind = "date", format = "%d/%m/%Y"}')
    (data / "t.toml").write_text(stated)
    frame, description = read_dataset("data/t.csv")
    assert len(frame) == ROWS
    assert [column.kind for column in description.columns] == [
        value if isinstance(value, str) else value["kind"]
        for value in tomllib.loads(text)["columns"].values()
    ]


def labels(*values: str) -> str:
    """Return a CSV with a feature that does not determine the label."""
    rows = [f"{(i * i) % 7},{value}\n" for i, value in enumerate(values)]
    return f"x,y\n{''.join(rows)}"


LABELS = {
    "rare classes": (
        labels(*"ab" * 30, "c", "d", "d"),
        "label 'y': classes with fewer than ten rows: d 2, c 1 (4 classes). Merge or remove them.",
    ),
    "many numbers": (
        labels(*(str(i * i) for i in range(60))),
        "label 'y': 60 distinct numbers, so the task is regression. If they are classes, state ",
    ),
    "missing labels": (
        labels(*["a", "b", ""] * 20),
        "rows have no label. Training stops at them. To leave them out, add missing = ['']",
    ),
    "missing numbers": (
        labels(*(str(i * i) for i in range(60)), "", "NA"),
        "rows have no label. Training stops at them. To leave them out, add missing = ['', 'NA']",
    ),
}


@pytest.mark.parametrize(("content", "warning"), LABELS.values(), ids=LABELS)
def test_label_that_needs_a_decision_is_reported(
    data: Path, content: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert warning in described(data, content, capsys)[1]


def test_columns_without_common_rows_are_described(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i % 7},,{i % 3}\n" if i % 2 else f",{i * i},{i % 3}\n" for i in range(60)]
    stated, _ = described(data, f"x,y,z\n{''.join(rows)}", capsys)
    assert stated["columns"] == {"x": "number", "z": "number"}


def test_usual_label_is_not_reported(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Warning" not in described(data, labels(*"ab" * 30), capsys)[1]


LEAKS = {
    "a copy": ("uv" * 30, "ab" * 30, True),
    "a range for each class": ([str(i) for i in range(0, 90, 3)] * 2, "a" * 30 + "b" * 30, False),
    "ranges": ([str(i + (i > 29) * 7) for i in range(60)], "a" * 30 + "b" * 30, True),
    "another unit": ([f"{2.54 * i:.2f}" for i in range(60)], [str(i) for i in range(60)], True),
    "a good predictor": ("uv" * 30, "ab" * 29 + "aa", False),
}


@pytest.mark.parametrize(("values", "label", "is_leak"), LEAKS.values(), ids=LEAKS)
def test_column_that_gives_the_label_away_is_reported(
    data: Path,
    values: str | list[str],
    label: str | list[str],
    is_leak: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [f"{value},{y}\n" for value, y in zip(values, label, strict=True)]
    output = described(data, f"x,y\n{''.join(rows)}", capsys)[1]
    assert ("alone determines the label" in output) == is_leak


def test_values_that_training_would_reject_are_reported(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = labels(*"ab" * 30) + "ninety,a\n"
    output = described(data, content, capsys)[1]
    problem = "column 'x': 1 rows are not of the kind number, the first one is 'ninety' on line 62."
    # A single value among few distinct ones makes categories.
    assert problem not in output
    rows = "".join(f"{i % 50},{'ab'[i % 2]}\n" for i in range(60))
    assert problem in described(data, f"x,y\n{rows}ninety,a\n", capsys, FORCE="1")[1]


HOSTILE_NAMES = ['a"b', "a\nb", "a'''b", "[x]", "a = 1 # b", "\\u0000", "\x7f", "größe", "a.b", ""]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_name_and_values_of_any_characters_are_written(
    data: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    rows = "".join(f'{i % 5},"u\n[x]\n{i % 3}",{"ab"[i % 2]}\n' for i in range(60))
    stated, _ = described(data, f"{quoted or 'n'},v,y\n{rows}", capsys)
    if name:
        assert list(stated["columns"]) == [name.strip("\x7f") or name, "v"]
        assert read_dataset("data/t.csv")[0][name].nunique() == 5
    else:
        assert stated["ignore"] == [""]


def test_description_is_not_overwritten_without_force(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described(data, csv_of(COLUMNS), capsys)
    (data / "t.toml").write_text("mine")
    assert describe({"DATASET_NAME": "data/t.csv", "LABEL": "y"}) == 1
    assert capsys.readouterr().err == "describe: data/t.toml exists. FORCE=1 overwrites it.\n"
    assert (data / "t.toml").read_text() == "mine"
    described(data, csv_of(COLUMNS), capsys, FORCE="1")
    assert (data / "t.toml").read_text() != "mine"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "describe: LABEL is not set. Expected one of 'x', 'y'.\n"),
        ("yy", "describe: LABEL=yy: no such column. Did you mean 'y'?\n"),
    ],
)
def test_label_that_the_table_does_not_have_is_rejected(
    data: Path, label: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(data, labels(*"ab" * 30))
    assert describe({"DATASET_NAME": "data/t.csv", "LABEL": label}) == 2
    assert capsys.readouterr().err == message
    assert not (data / "t.toml").exists()


def test_encoding_is_stated_on_the_command_line_and_written(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = "stadt;y\n" + "Zürich;a\nGenève;b\n" * 20
    write_table(data, content.encode("latin-1"))
    with pytest.raises(TrainingError, match=r"line 2: .*`make describe` takes ENCODING=latin-1\."):
        describe({"DATASET_NAME": "data/t.csv", "LABEL": "y"})
    stated, _ = described(data, content.encode("latin-1"), capsys, ENCODING="latin-1")
    assert (stated["encoding"], stated["separator"]) == ("latin-1", ";")
    assert read_dataset("data/t.csv")[0].stadt[0] == "Zürich"


@pytest.mark.parametrize("name", ["t.csv", "/etc/passwd", "data/../t.csv", "data/link.csv"])
def test_table_outside_data_is_rejected(data: Path, name: str) -> None:
    write_table(data.parent, labels(*"ab" * 30))
    (data / "link.csv").symlink_to(data.parent / "t.csv")
    with pytest.raises(TrainingError, match="not in data/, where training reads it"):
        describe({"DATASET_NAME": name, "LABEL": "y"})


def test_example_has_the_description_that_describe_writes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (ROOT / "data/adult_income-prepped.csv").read_text()
    stated, _ = described(data, content, capsys, LABEL="income")
    example = tomllib.loads((ROOT / "data/adult_income-prepped.toml").read_text())
    assert stated["columns"] == example["columns"]
    assert stated["label"]["name"] == example["label"]


# Commands


def test_make_describe_describes_parquet_like_csv(clone: Path) -> None:
    program = ". tools/environment.sh describe extras/describe/requirements{,_parquet}.txt"
    output_of(run("bash", "-c", program, cwd=clone))
    write = (
        "import pandas as pd\n"
        "frame = pd.read_csv('data/t.csv', parse_dates=['when'])\n"
        "frame.astype({'size': 'category'}).to_parquet('data/u.parquet')\n"
    )
    sizes = ["small", "large", None]
    rows = [f"2021-3-{i % 28 + 1},{i / 7},{sizes[i % 3] or ''},{'ab'[i % 2]}" for i in range(60)]
    write_table(clone / "data", "\n".join(["when,x,size,y", *rows]))
    output_of(run(clone / ".local/describe/bin/python", "-c", write, cwd=clone))
    columns = []
    for name in ("t.csv", "u.parquet"):
        output_of(make(clone, ".", "describe", f"DATASET_NAME=data/{name}", "LABEL=y"))
        text = (clone / f"data/{name[0]}.toml").read_text()
        stated = tomllib.loads(text)["columns"]
        columns.append({key: str(value) for key, value in stated.items()})
    assert columns[0].pop("when") == "{'kind': 'date', 'format': '%Y-%m-%d'}"
    assert "%Y-%m-%d %H:%M:%S" in columns[1].pop("when")
    assert columns[0] == columns[1] == {"x": "number", "size": "category"}

    read = (
        "from utils.dataset.read import read_dataset as r\nprint(*r('data/u.parquet')[0].iloc[1])"
    )
    values = output_of(run(clone / ".local/describe/bin/python", "-c", read, cwd=clone))
    assert values == f"2021-03-02 00:00:00 {1 / 7} large b\n"


def test_make_describe_writes_a_report_on_request(clone: Path) -> None:
    write_table(clone / "data", labels(*"ab" * 30))
    arguments = ("DATASET_NAME=data/t.csv", "LABEL=y", "REPORT=1")
    output = output_of(make(clone, ".", "describe", *arguments))
    assert "---> Wrote .local/reports/t.html" in output
    report = (clone / ".local/reports/t.html").read_text()
    assert "<html" in report.lower()
    assert "t.csv" in report


def test_make_describe_without_a_table_prints_its_usage() -> None:
    done = make(ROOT, ".", "describe")
    assert done.returncode == 2
    assert "Usage:   DATASET_NAME=data/NAME.csv LABEL=COLUMN" in done.stderr
