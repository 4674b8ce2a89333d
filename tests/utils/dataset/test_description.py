"""The description of a data set: valid ones, and the lines of invalid keys."""

import re
from pathlib import Path

import pytest
from support.commands import ROOT

from utils.dataset import infer, text_table
from utils.dataset.description import KEYS, KINDS, MAX_BYTES, read_description
from utils.errors import TrainingError

COMPLETE = """
label = {name = "churn", kind = "category", missing = [""]}
task = "classification"
ignore = ["customer_id"]
missing = ["", "NA"]
encoding = "latin-1"
separator = ";"
decimal = ","
split = "time:signed"
weight = "w"
groups = ["gender"]
unknown = "reject"
[columns]
age = "number"
price = {kind = "number", unit = "€", thousands = ".", decimal = ","}
signed = {kind = "date", format = "%d/%m/%Y"}
country = {kind = "category", missing = [""]}
remarks = "text"
senior = "boolean"
"größe [m²]" = "number"
"""


def rejection(folder: Path, text: str | bytes) -> str:
    """Return the message for an invalid description, without the path."""
    path = folder / "t.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(TrainingError) as caught:
        read_description(path)
    assert caught.value.exit_code == 78
    return str(caught.value).removeprefix(str(path))


def test_description_states_what_its_file_states(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(COMPLETE)
    stated = read_description(path)
    assert stated["label"] == {"name": "churn", "kind": "category", "missing": [""]}
    assert stated["columns"]["age"] == {"kind": "number"}
    assert stated["columns"]["signed"] == {"kind": "date", "format": "%d/%m/%Y"}
    assert stated["columns"]["größe [m²]"] == {"kind": "number"}
    assert stated["split"] == "time:signed"


def test_description_takes_the_label_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    # An editor of Windows writes a byte-order mark.
    path.write_bytes('\ufefflabel = "y"\r\n'.encode())
    assert read_description(path) == {"label": {"name": "y"}}


INVALID = {
    "unknown key": ('label = "y"\nignored = ["a"]', ", line 2: unknown key 'ignored'. Did you"),
    "unknown key of another language": ('label = "y"\nziel = 1', "line 2: unknown key 'ziel'. Exp"),
    "no label": ("[columns]\na = 'number'", ": no label. Add a line with the column to predict"),
    "empty": ("", ": no label. Add a line"),
    "label of another type": ("label = 3", ", line 1: label: expected a name, found 3."),
    "label of a kind for features": (
        'label = {name = "y", kind = "text"}',
        ", line 1: label: unknown kind 'text'. Expected one of 'category', 'boolean', 'number'.",
    ),
    "unknown kind": (
        'label = "y"\n[columns]\nage = "numeric"',
        ", line 3: age: unknown kind 'numeric'. Did you mean 'number'?",
    ),
    "unknown setting": (
        'label = "y"\n[columns]\n"a b" = {kind = "date", fromat = "%Y"}',
        ", line 3: a b: a date has no setting 'fromat'. Did you mean 'format'?",
    ),
    "setting of another kind": (
        'label = "y"\n[columns]\na = {kind = "number", format = "%Y"}',
        ", line 3: a: a number has no setting 'format'. Expected one of 'kind', 'missing', ",
    ),
    "column without a kind": ('label = "y"\n[columns]\na = {missing = [""]}', "line 3: a: expec"),
    "list of numbers": ('label = "y"\nignore = [1]', ", line 2: ignore: expected a list of texts"),
    "text for a list": ('label = "y"\nmissing = "NA"', "line 2: missing: expected a list of texts"),
    "unknown task": ('label = "y"\ntask = "regress"', ", line 2: task: found 'regress'. Did you"),
    "task of another kind": (
        'label = {name = "y", kind = "category"}\ntask = "regression"',
        ", line 2: task 'regression' does not fit a label of the kind 'category'.",
    ),
    "label among the features": (
        'label = "y"\n[columns]\ny = "number"',
        ", line 3: 'y' is the label. Remove it from [columns].",
    ),
    "label among the ignored": ('label = "y"\nignore = ["y"]', ", line 2: ignore: 'y' is the la"),
    "unknown split": ('label = "y"\nsplit = "date"', ", line 2: split: found 'date'. Expected "),
    "split and test": (
        'label = "y"\nsplit = "time:t"\ntest = "u.csv"',
        ", line 2: split and test are both set. Remove one of them.",
    ),
    "long separator": ('label = "y"\nseparator = ";;"', "separator: expected one character, found"),
    "not TOML": ("label = y", ": not valid TOML: Invalid value (at line 1, column 9). Fix this"),
    "a key twice": ('label = "y"\nlabel = "z"', ": not valid TOML: Cannot overwrite a value (at "),
    "not UTF-8": (b'label = "y"\n# \xe9', ", line 2: not UTF-8. Save the file as UTF-8."),
}


@pytest.mark.parametrize(("text", "message"), INVALID.values(), ids=INVALID)
def test_description_rejects_what_it_does_not_know(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    assert message in rejection(tmp_path, text)


@pytest.mark.parametrize("name", ["/etc/passwd", "../t.csv", "a/../../t.csv", "a\\u0000b"])
def test_description_rejects_a_test_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    assert "is not in data/" in rejection(tmp_path, f'label = "y"\ntest = "{name}"')


def test_description_names_the_line_of_an_escaped_key(tmp_path: Path) -> None:
    text = 'label = "y"\n[columns]\n"{\\"a\\": 1}" = "numbre"'
    assert rejection(tmp_path, text).startswith(', line 3: {"a": 1}: unknown kind')


HOSTILE = {
    "larger than the limit": b"#" * (MAX_BYTES + 1),
    "nested lists": b"label = " + b"[" * 100_000,
    "one long line": b'label = "' + b"a" * 1_000_000,
    "many texts of a wrong type": b"label = 'y'\nmissing = [" + b"1," * 100_000 + b"]",
    "many unknown keys": b"".join(b"k%d = 1\n" % i for i in range(20_000)),
    "binary": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_description_is_rejected_with_a_short_message(
    tmp_path: Path, content: bytes
) -> None:
    assert len(rejection(tmp_path, content)) < 500


# The documentation

PAGE = (ROOT / "docs/your-data.md").read_text()


def test_example_of_the_page_is_valid(tmp_path: Path) -> None:
    example = PAGE.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "t.toml"
    path.write_text(example)
    assert {column["kind"] for column in read_description(path)["columns"].values()} == set(KINDS)


def test_every_key_and_kind_is_on_the_page() -> None:
    rows = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    documented = set(re.findall(r"`\[?([a-z]+)\]?`", " ".join(rows)))
    assert documented == {*KEYS, *KINDS}


def test_limits_of_the_page_are_those_of_the_code() -> None:
    page = " ".join(PAGE.split())
    line = text_table.MAX_LINE // 2**20
    value = f"{text_table.MAX_VALUE // 2**20} MiB for a value"
    columns = f"{text_table.MAX_COLUMNS:,} columns for a table"
    assert f"{line} MiB for a line, {value} and {columns}" in page
    assert page.count(f"at least {infer.MOSTLY:.0%}".replace("%", " %")) == 2
    assert f"at most {infer.FEW_CLASSES} distinct numbers" in page
