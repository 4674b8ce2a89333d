"""README.md does what it says: its commands run, its output is what they print, its steps make a fourth model."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, free_port, make_clone, run

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", README, re.DOTALL | re.MULTILINE)


def block(beginning: str) -> str:
    """The text of the code block that begins so."""
    texts = [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, _, text in BLOCKS]
    return next(text for text in texts if text.startswith(beginning))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A clone in which `make demo` has run, and what it printed."""
    clone = make_clone(tmp_path_factory.mktemp("readme"))
    done = run("make", "demo", cwd=clone, env={"ENGINE": "local", "PORT": str(free_port())})
    assert done.returncode == 0, done.stdout + done.stderr
    return clone, done.stdout


def likeness(line: str) -> str:
    """A line of output without its figures and its spaces, which differ from machine to machine."""
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "N", line)).strip()


def test_the_demo_prints_what_the_readme_shows(demo: tuple[Path, str]) -> None:
    printed = [likeness(line) for line in demo[1].splitlines()]
    position = 0
    for line in block("---> Models").splitlines():
        if line != "...":
            assert likeness(line) in printed[position:], line
            position = printed.index(likeness(line), position) + 1


def test_the_demo_ends_with_a_curl_line_and_leaves_no_server(demo: tuple[Path, str]) -> None:
    assert (
        "curl -H 'Content-Type: application/json' -d @logisticRegression/test/test_instances.json"
        in demo[1]
    )
    assert list((demo[0] / ".local" / "run").glob("*.pid")) == []


def test_a_second_demo_needs_no_network(demo: tuple[Path, str]) -> None:
    nowhere = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    done = run(
        "make", "demo", cwd=demo[0], env={"ENGINE": "local", "PORT": str(free_port()), **nowhere}
    )
    assert done.returncode == 0, done.stderr


def targets(directory: str) -> set[str]:
    """The targets that `make help-all` lists in a directory."""
    return set(
        re.findall(
            r"^  make (\S+)", run("make", "help-all", cwd=ROOT / directory).stdout, re.MULTILINE
        )
    )


def test_every_make_target_that_the_documents_name_is_there() -> None:
    known = targets(".") | targets("all") | targets("logisticRegression")
    texts = README + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", texts, flags=re.DOTALL))
    named = set(
        re.findall(
            r"(?:^|&& )make (?:-C \S+ )?([a-z]+(?:-[a-z]+)*)",
            "\n".join([*inline, block("make demo")]),
            re.MULTILINE,
        )
    )
    assert named - known == set()
    assert len(named) > 10


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_steps_of_the_readme_make_a_fourth_model(demo: tuple[Path, str]) -> None:
    clone = demo[0]
    run("cp", "-r", "logisticRegression", "catBoost", cwd=clone)
    (clone / "catBoost" / "Makefile").write_text(block("MODEL_NAME :=") + "include ../model.mk\n")
    (clone / "catBoost" / ".s2i" / "environment").write_text(block("ROUTES="))
    predict = clone / "catBoost" / "predict.py"
    predict.write_text(predict.read_text().replace("adult_income_lr", "adult_income_cat"))
    makefile = clone / "all" / "Makefile"
    makefile.write_text(makefile.read_text().replace("MODEL_DIRS := ", "MODEL_DIRS := catBoost "))
    local = {"ENGINE": "local", "PORT": str(free_port())}
    for command in (
        ["-C", "catBoost", "build-train", "train"],
        ["-C", "all", "generate"],
        ["-C", "all", "build-predict"],
    ):
        done = run("make", *command, cwd=clone, env=local)
        assert done.returncode == 0, done.stderr
    assert run("make", "-C", "all", "predict-all", "DETACH=1", cwd=clone, env=local).returncode == 0
    tested = run("make", "-C", "all", "test-all", cwd=clone, env=local)
    run("make", "-C", "all", "stop", cwd=clone, env=local)
    assert "---> POST /adult_income_cat/predict: 4 predictions, as expected" in tested.stdout, (
        tested.stderr
    )
