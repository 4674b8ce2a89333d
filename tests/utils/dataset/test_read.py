"""Reading tables as people have them: values, missing values, lines in messages."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.commands import ROOT
from support.tables import column_csv, feature, read_table, write_table

from utils.dataset import text_table
from utils.dataset.read import read_dataset, read_test
from utils.errors import TrainingError

CITIES = "stadt,alter,y\n" + "Zürich,23,ja\nGenève,76,nein\n" * 10


def rejection(folder: Path, content: str | bytes, description: str = 'label = "y"') -> str:
    """Return the message for an invalid table, without the folder."""
    with pytest.raises(TrainingError) as caught:
        read_table(folder, content, description)
    assert caught.value.exit_code == 78
    return str(caught.value).replace(f"{folder}/", "")


# Encodings and separators


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encoding_with_a_byte_order_mark_is_detected(tmp_path: Path, encoding: str) -> None:
    frame, _ = read_table(tmp_path, CITIES.encode(encoding))
    assert frame.columns.tolist() == ["stadt", "alter", "y"]
    assert frame.stadt.tolist()[:2] == ["Zürich", "Genève"]


def test_encoding_that_is_stated_is_used(tmp_path: Path) -> None:
    frame, _ = read_table(tmp_path, CITIES.encode("latin-1"), 'label = "y"\nencoding = "latin-1"')
    assert frame.stadt[0] == "Zürich"


def test_file_of_another_encoding_is_rejected_with_its_line(tmp_path: Path) -> None:
    assert rejection(tmp_path, CITIES.encode("latin-1")) == (
        "t.csv, line 2: not in the encoding utf-8. State the encoding in the description, for "
        'example encoding = "latin-1".'
    )


def test_damaged_utf_16_is_rejected_without_a_line(tmp_path: Path) -> None:
    message = rejection(tmp_path, "x,y\n1,a\n".encode("utf-16") + b"\x00\xd8")
    assert message.startswith("t.csv: not in the encoding utf-16.")


@pytest.mark.parametrize("encoding", ["none", "base64", "rot13"])
def test_encoding_that_is_none_is_rejected(tmp_path: Path, encoding: str) -> None:
    message = rejection(tmp_path, CITIES, f'label = "y"\nencoding = "{encoding}"')
    assert message.endswith("State another encoding.")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_detected(tmp_path: Path, separator: str) -> None:
    content = CITIES.replace(",", separator).replace("Zürich", '"a, b; c | d"')
    frame, description = read_table(tmp_path, content)
    assert description.separator == separator
    assert frame.stadt[0] == "a, b; c | d"


def test_decimal_comma_is_read(tmp_path: Path) -> None:
    content = "x;z;y\n" + "1,5;1.234,5;a\n2,25;-7;b\n" * 10
    stated = 'label = "y"\ndecimal = ","\n[columns]\nx = "number"\n'
    frame, description = read_table(tmp_path, content, stated)
    assert frame.x.tolist()[:2] == [1.5, 2.25]
    assert frame.z.tolist()[:2] == [1234.5, -7]
    assert (feature(description, "z").decimal, feature(description, "z").thousands) == (",", ".")


# Lines and fields


def test_rows_with_one_field_more_than_the_header_are_rejected(tmp_path: Path) -> None:
    content = "x,z,y\n" + "1,2,a,\n3,4,b,\n" * 10
    message = "t.csv, line 2: expected 3 fields, as in the header, found 4."
    assert rejection(tmp_path, content).startswith(message)
    # pandas takes the first column as an index, and each name gets the values of the next column.
    shifted = pd.read_csv(tmp_path / "t.csv")
    assert shifted.x.tolist()[:2] == [2, 4]


def test_row_with_a_missing_field_is_rejected(tmp_path: Path) -> None:
    content = "x,z,y\n" + '"1\n1",2,a\n\n' + "3,b\n"
    message = "t.csv, line 5: expected 3 fields, as in the header, found 2."
    assert rejection(tmp_path, content).startswith(message)
    # pandas fills the row with missing values.
    assert pd.read_csv(tmp_path / "t.csv").y.isna().tolist() == [False, True]


def test_value_is_named_with_its_physical_line(tmp_path: Path) -> None:
    content = 'note,age,y\n"first\nsecond",1,a\n\n"first\r\nsecond",2,b\n' + "plain,3,a\n" * 20
    stated = 'label = "y"\n[columns]\nnote = "category"\nage = "number"'
    content += "plain,ninety,b\n"
    assert rejection(tmp_path, content, stated) == (
        "t.csv: column 'age', line 27: expected a finite number, found 'ninety'. Correct the "
        "value, state it in `missing`, or state another kind."
    )
    assert content.splitlines()[26] == "plain,ninety,b"


@pytest.mark.parametrize("value", ["-inf", "1e400", "1e39", "nan(1)", "1_000", "0x1F", "١٢", "40%"])
def test_text_that_is_no_finite_number_is_rejected_as_written(tmp_path: Path, value: str) -> None:
    stated = 'label = "y"\n[columns]\nx = "number"'
    message = f"t.csv: column 'x', line 3: expected a finite number, found {value!r}."
    assert rejection(tmp_path, column_csv(["1", value, "2"]), stated).startswith(message)


@pytest.mark.parametrize("value", ["-inf", "1e400"])
def test_infinite_number_is_not_taken_as_a_category(tmp_path: Path, value: str) -> None:
    assert "expected a finite number" in rejection(tmp_path, column_csv(["0.5", value] * 10))


@pytest.mark.parametrize("value", ["1,23", "12,3456", "1,234,56", "5 € 6", "€"])
def test_amount_with_misplaced_separators_is_rejected(tmp_path: Path, value: str) -> None:
    stated = 'label = "y"\n[columns]\nx = {kind = "number", thousands = ",", unit = "€"}'
    assert "expected a finite number" in rejection(tmp_path, column_csv([f'"{value}"']), stated)


@pytest.mark.parametrize("value", ["1,234.5", "€1,234.5", "+€ 1,234.5", "€ +1234.50", "1234.5 €"])
def test_amount_is_read_as_the_description_states(tmp_path: Path, value: str) -> None:
    stated = 'label = "y"\n[columns]\nx = {kind = "number", thousands = ",", unit = "€"}'
    frame, _ = read_table(tmp_path, column_csv([f'"{value}"', "1"]), stated)
    assert frame.x[0] == 1234.5


def test_name_that_is_given_twice_is_rejected(tmp_path: Path) -> None:
    content = "x, z,x ,y\n1,2,3,a\n"
    message = "t.csv: columns 1 and 3 have the same name 'x'. Rename one of them."
    assert rejection(tmp_path, content) == message


def test_unnamed_last_column_without_values_is_dropped_with_a_notice(tmp_path: Path) -> None:
    _, description = read_table(tmp_path, "x,y,\n" + "1,a,\n2,b,\n" * 10)
    assert "column 3 has no name and no values; it is ignored" in description.notices
    assert "column 3 has no name" in rejection(tmp_path, "x,y,\n1,a,\n2,b,3\n")


def test_blanks_around_names_and_values_are_removed_with_a_notice(tmp_path: Path) -> None:
    content = "x, job, y\n" + "1, nurse, yes \n2, smith , yes\n3,nurse,no\n" * 10
    frame, description = read_table(tmp_path, content)
    assert frame.job.unique().tolist() == ["nurse", "smith"]
    assert frame.y.unique().tolist() == ["yes", "no"]
    assert "blanks around the names of columns are removed" in description.notices
    assert "column 'y': blanks around values are removed" in description.notices


def test_quoted_values_after_blanks_are_read_with_a_notice(tmp_path: Path) -> None:
    content = "x, job, y\n" + '1, "nurse, jr", "yes"\n2, smith, no\n' * 10
    frame, description = read_table(tmp_path, content)
    assert frame.job.unique().tolist() == ["nurse, jr", "smith"]
    assert "blanks after separators are removed" in description.notices


def test_names_of_any_characters_are_kept(tmp_path: Path) -> None:
    names = ["age [years]", "<30", "tenure, months", '{"a": 1}', "größe", "label", "columns", "a.b"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    rows = "".join(",".join(str((i + j) % 7) for j in range(8)) + f",{i % 2}\n" for i in range(40))
    frame, _ = read_table(tmp_path, f"{header},y\n{rows}")
    assert frame.columns.tolist() == [*names, "y"]


INVALID = {
    "empty": ("", ": no column 'y'"),
    "header only": ("x,y\n", ": expected at least two classes of 'y', found [] in 0 rows"),
    "one class": ("x,y\n1,a\n2,a\n", ": expected at least two classes of 'y', found ['a'] in 2"),
    "no label": ("x,z\n1,a\n", ": no column 'y', but t.toml names it. Expected one of 'x', 'z'."),
    "no feature": ("y\na\nb\n", ": no feature is left. Check t.toml."),
    "open quote": ('x,y\n1,a\n"2,b\n3,c\n', ", line 3: not valid CSV: unexpected end of data."),
    "text after a quote": ('x,y\n"1" 2,a\n', ", line 2: not valid CSV: ',' expected after '\"'."),
    "too many columns": ("," * 100_000 + "\n", ": 100,001 columns. At most 100,000 are read."),
    "NUL": ("x,y\n1,a\0\n", ", line 2: a NUL character. State the encoding"),
}


@pytest.mark.parametrize(("content", "message"), INVALID.values(), ids=INVALID)
def test_table_that_can_not_be_used_is_rejected(tmp_path: Path, content: str, message: str) -> None:
    assert f"t.csv{message}" in rejection(tmp_path, content)


def test_column_that_only_the_description_has_is_rejected(tmp_path: Path) -> None:
    stated = 'label = "y"\nignore = ["ages"]'
    message = "t.csv: no column 'ages', but t.toml names it. Did you mean 'age'?"
    assert rejection(tmp_path, "age,y\n1,a\n2,b\n", stated) == message


def test_table_without_a_description_is_rejected_with_the_command(tmp_path: Path) -> None:
    path = write_table(tmp_path, CITIES)
    with pytest.raises(TrainingError, match=r"t\.toml: no such file\. Write it with `make descr"):
        read_dataset(path)


# Missing values


def test_missing_texts_of_a_column_take_precedence_over_those_of_the_file(tmp_path: Path) -> None:
    content = "x,country,code,y\n" + "1,NA,NA,a\n?,DE,,b\n3,,ZA,a\n" * 10
    stated = """label = "y"\nmissing = ["", "NA"]\n[columns]\nx = {kind = "number", missing = ["?"]}
country = {kind = "category", missing = [""]}\ncode = "category" """
    frame, description = read_table(tmp_path, content, stated)
    assert frame.x.tolist()[0::2][:1] == [1]
    assert np.isnan(frame.x[1])
    assert frame.country.tolist()[:3] == ["NA", "DE", None]
    assert frame.code.tolist()[:3] == [None, None, "ZA"]
    assert feature(description, "code").missing == ("", "NA")


def test_each_kind_has_its_own_missing_value(tmp_path: Path) -> None:
    content = "n,c,b,d,t,y\n" + "1,u,true,2021-03-16,one two three four five six,a\n,,,,,b\n" * 2
    stated = 'label = "y"\n[columns]\nn="number"\nc="category"\nb="boolean"\nd="date"\nt="text"'
    frame, _ = read_table(tmp_path, content, stated)
    assert frame.dtypes.astype(str).to_dict() == {
        "n": "float64",
        "c": "object",
        "b": "object",
        "d": "datetime64[us]",
        "t": "object",
        "y": "object",
    }
    assert frame.loc[0].tolist()[:3] == [1, "u", True]
    assert frame.loc[1, ["c", "b", "t"]].tolist() == [None, None, None]
    assert frame.loc[1, ["n", "d"]].isna().all()


def test_rows_without_a_label_are_rejected_with_what_to_state(tmp_path: Path) -> None:
    content = "x,y\n" + "1,a\n2,\n3,b\n" * 10
    assert rejection(tmp_path, content) == (
        "t.csv: 10 of 30 rows have no label 'y', the first one is line 3. The classes are 'a' (10 "
        "rows), 'b' (10 rows). Add the labels. To leave these rows out, state label = "
        '{name = "y", missing = [""]}'
    )
    stated = 'label = {name = "y", missing = [""]}\n[columns]\nx = "number"'
    frame, _ = read_table(tmp_path, content, stated)
    assert frame.to_dict("list") == {"x": [1, 3] * 10, "y": ["a", "b"] * 10}


def test_words_for_missing_numbers_are_missing_labels(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5},{i * i}\n" for i in range(60))
    message = rejection(tmp_path, f"x,y\n{rows}1,NA\n2,\n")
    assert "2 of 62 rows have no label 'y', the first one is line 62." in message
    setting = 'label = {name = "y", missing = ["NA", ""]}'
    assert message.endswith(f"state {setting}")
    frame, description = read_table(tmp_path, f"x,y\n{rows}1,NA\n2,\n", setting)
    assert (len(frame), description.task) == (60, "regression")


def test_dates_that_two_formats_fit_are_rejected_until_one_is_stated(tmp_path: Path) -> None:
    content = column_csv(["04/05/2021", "06/10/2021"] * 10, "joined")
    message = rejection(tmp_path, content)
    assert "column 'joined': 2 date formats fit all rows: %d/%m/%Y, %m/%d/%Y. State" in message
    advice = message.partition("State the format: ")[2]
    frame, _ = read_table(tmp_path, content, f'label = "y"\n[columns]\n{advice}')
    assert frame.joined[0] == pd.Timestamp("2021-05-04")


def test_date_that_does_not_fit_the_format_is_named(tmp_path: Path) -> None:
    stated = 'label = "y"\n[columns]\nx = {kind = "date", format = "%d/%m/%Y"}'
    message = rejection(tmp_path, column_csv(["16/03/2021", "03/16/2021"]), stated)
    assert "line 3: expected a date like %d/%m/%Y, found '03/16/2021'" in message


# Weight, split, groups and test


def test_columns_of_the_split_and_the_weight_are_no_features(tmp_path: Path) -> None:
    content = "x,w,day,g,y\n" + "1,2,2021-03-16,u,a\n2,1,2021-03-17,v,b\n" * 10
    stated = 'label = "y"\nweight = "w"\nsplit = "time:day"\ngroups = ["g"]\nignore = ["g"]'
    frame, description = read_table(tmp_path, content, stated)
    assert [column.name for column in description.columns] == ["x"]
    assert [column.name for column in description.others] == ["w", "day", "g"]
    assert set(frame) == {"x", "w", "day", "g", "y"}
    bad = content.replace("2,1,", "2,-1,")
    assert "the weight 'w' is missing or negative in some rows" in rejection(tmp_path, bad, stated)


def test_test_file_is_read_with_the_kinds_of_the_table(tmp_path: Path) -> None:
    path = write_table(tmp_path, "x,c,y\n" + "1,u,0\n2,v,1\n" * 10, 'label = "y"\ntest = "u.csv"')
    (tmp_path / "u.csv").write_text("c,y,x\n3,1,\n,0,5\n")
    _, description = read_dataset(path)
    frame = read_test(path, description)
    assert frame.c.tolist() == ["3", None]
    assert frame.y.tolist() == [1, 0]
    (tmp_path / "u.csv").write_text("c,y\nu,1\n")
    with pytest.raises(TrainingError, match="no column 'x'"):
        read_test(path, description)


@pytest.mark.parametrize("name", ["t.toml", "u.csv"])
def test_file_that_links_to_another_folder_is_rejected(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = tmp_path / "data"
    data.mkdir()
    path = write_table(data, CITIES, 'label = "y"\ntest = "u.csv"')
    (data / "u.csv").write_text(CITIES)
    (data / name).rename(outside / name)
    (data / name).symlink_to(outside / name)
    with pytest.raises(TrainingError, match=f"{name}: not a file inside"):
        read_test(path, read_dataset(path)[1])


# Hostile files, and large ones


def test_parquet_without_pyarrow_is_rejected_with_the_line_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    (tmp_path / "t.toml").write_text('label = "y"')
    with pytest.raises(TrainingError, match="Add the line `pyarrow` to requirements_train.txt"):
        read_dataset(tmp_path / "t.parquet")


def test_line_without_an_end_is_rejected_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with open(path, "wb") as file:
        file.write(b"x,y\n")
        # The file has one GB of zero bytes, but needs no space on the disk.
        file.truncate(2**30)
    limit = text_table.MAX_LINE
    with pytest.raises(TrainingError, match=f"line 2: longer than {limit:,} characters"):
        text_table.read_texts(path)


def test_quote_without_an_end_is_rejected_before_the_rest_is_read(tmp_path: Path) -> None:
    content = 'x,y\n1,a\n"2,b\n' + "3,a\n" * 500_000
    message = "t.csv, line 3: not valid CSV: field larger than field limit (1048576)."
    assert message in rejection(tmp_path, content)


def test_limit_of_the_csv_module_is_restored(tmp_path: Path) -> None:
    before = text_table.csv.field_size_limit()
    rejection(tmp_path, "")
    assert text_table.csv.field_size_limit() == before


PEAK = """
import re, sys
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
"""
READ = """
import utils.dataset.read
before = peak()
utils.dataset.read.read_dataset(sys.argv[1])
print(peak() - before)
"""
# The control keeps each value as a Python object, and then makes the columns.
LIST = """
import csv
before = peak()
rows = list(csv.reader(open(sys.argv[1])))
columns = list(zip(*rows))
print(peak() - before)
"""


def test_reading_a_million_rows_needs_less_than_the_limit(tmp_path: Path) -> None:
    header, *lines = (ROOT / "data/adult_income-prepped.csv").read_text().splitlines()
    description = (ROOT / "data/adult_income-prepped.toml").read_text()
    path = write_table(tmp_path, "\n".join([header, *lines * 4]), description)
    memory = []
    for program in (READ, LIST):
        command = [sys.executable, "-c", PEAK + program, str(path)]
        memory.append(float(subprocess.check_output(command, cwd=ROOT)))
    # A million rows may need 1,500 MB. pandas itself and the copies of a split need 500 of them.
    limit = 1000 * 4 * len(lines) / 1e6
    assert memory[0] < limit < memory[1]
