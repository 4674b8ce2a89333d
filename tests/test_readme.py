"""README.md: its commands run and print what it shows, its steps make a fourth model."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from support.clones import make_clone
from support.commands import ROOT, make, output_of, run
from support.models import FASTEST
from support.network import free_port

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", README, re.DOTALL | re.MULTILINE)


def block(beginning: str) -> str:
    """Return the text of the code block that begins so."""
    for indent, _, indented in BLOCKS:
        text = re.sub(rf"^{indent}", "", indented, flags=re.MULTILINE)
        if text.startswith(beginning):
            return text
    raise LookupError(beginning)


class Demo(NamedTuple):
    """A clone in which `make demo` has run, and what it printed."""

    clone: Path
    output: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The first demo."""
    clone = make_clone(tmp_path_factory.mktemp("readme"))
    return Demo(clone, run_demo(clone))


def run_demo(clone: Path, **variables: str) -> str:
    """Run README's first command in a clone; return its output."""
    environment = {"ENGINE": "local", "PORT": str(free_port()), **variables}
    return output_of(run("make", "demo", cwd=clone, env=environment))


def without_figures(line: str) -> str:
    """Return a line of output without what differs from machine to machine."""
    text = re.sub(r"\d+(\.\d+)?", "N", line)
    return re.sub(r"\s+", " ", text).strip()


def test_the_demo_prints_what_the_readme_shows(demo: Demo) -> None:
    rest = [without_figures(line) for line in demo.output.splitlines()]
    for line in block("---> Models").splitlines():
        if line != "...":
            expected = without_figures(line)
            assert expected in rest, line
            rest = rest[rest.index(expected) + 1 :]


def test_the_demo_ends_with_a_curl_line_and_leaves_no_server(demo: Demo) -> None:
    instances = "logisticRegression/test/test_instances.json"
    assert f"curl -H 'Content-Type: application/json' -d @{instances}" in demo.output
    assert list((demo.clone / ".local" / "run").glob("*.pid")) == []


def test_a_second_demo_needs_no_network(demo: Demo) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    run_demo(demo.clone, UV_DEFAULT_INDEX=nowhere, PIP_INDEX_URL=nowhere)


def targets(directory: str) -> set[str]:
    """Return the targets that `make help-all` lists in a directory."""
    output = output_of(make(ROOT, directory, "help-all"))
    return set(re.findall(r"^  make (\S+)", output, re.MULTILINE))


def test_every_make_target_that_the_documents_name_is_there() -> None:
    known = targets(".") | targets("all") | targets(FASTEST)
    documents = [README]
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        documents.append((ROOT / name).read_text())

    prose = re.sub(r"```.*?```", "", "".join(documents), flags=re.DOTALL)
    commands = [*re.findall(r"`([^`]+)`", prose), block("make demo")]
    target = r"(?:^|&& )make (?:-C \S+ )?([a-z]+(?:-[a-z]+)*)"
    named = set(re.findall(target, "\n".join(commands), re.MULTILINE))
    assert named - known == set()
    assert len(named) > 10


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def add_model(clone: Path) -> None:
    """Follow the steps of README's "Add a model"."""
    directory = clone / "catBoost"
    shutil.copytree(clone / "logisticRegression", directory)
    (directory / "Makefile").write_text(block("MODEL_NAME :=") + "include ../model.mk\n")
    (directory / ".s2i" / "environment").write_text(block("ROUTES="))

    predict = directory / "predict.py"
    predict.write_text(predict.read_text().replace("adult_income_lr", "adult_income_cat"))

    makefile = clone / "all" / "Makefile"
    text = makefile.read_text()
    makefile.write_text(text.replace("MODEL_DIRS := ", "MODEL_DIRS := catBoost "))


def test_the_steps_of_the_readme_make_a_fourth_model(demo: Demo) -> None:
    clone = demo.clone
    local = {"ENGINE": "local", "PORT": str(free_port())}
    add_model(clone)
    output_of(make(clone, "catBoost", "build-train", "train", **local))
    output_of(make(clone, "all", "generate", **local))
    output_of(make(clone, "all", "build-predict", **local))
    output_of(make(clone, "all", "predict-all", "DETACH=1", **local))

    tested = make(clone, "all", "test-all", **local)
    make(clone, "all", "stop", **local)
    expected = "---> POST /adult_income_cat/predict: 4 predictions, as expected"
    assert expected in tested.stdout, tested.stderr
