"""The documentation is correct: commands, steps, links and figures."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import find
from support.clones import make_clone
from support.commands import ROOT, Completed, make, output_of, run
from support.models import MODEL_DIRS, setting
from support.network import free_port

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")),
    *(f"{model}/README.md" for model in MODEL_DIRS),
    "data/README.md",
    "bench/README.md",
    "bench/peers/README.md",
    "tests/faults/README.md",
]
# Commands of the documentation that the test does not run, with the reason.
EXCEPTIONS = {
    "make demo": "the fixture has run it",
    "make test": "it would run this test",
    "make lint": "it runs before the tests",
    "make test-faults": "it takes an hour",
    "make new-project TO=../churn DATA=$HOME/churn.csv LABEL=churned": "tests/project runs it",
    "make update-template TO=v0.2.0": "tests/project runs it",
    "make bench-predict": "it takes minutes and loads the machine",
    "make bench-serve": "it takes minutes and loads the machine",
    "make bench-peers": "it takes minutes and loads the machine",
    "make bench-build": "it takes minutes and loads the machine",
    "make bench-demo": "it takes minutes and loads the machine",
    "make bench-train": "it takes minutes and loads the machine",
    "make bench-estimators": "it takes minutes and writes a page of the documentation",
    "python3 data/prepare.py": "tests/test_data.py runs it",
}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
README_LINES = 120
LINE_LENGTH = 100


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text()


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of each code block of a page, without its indentation."""
    found = []
    for indent, language, text in FENCE.findall(read(page)):
        found.append((language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)))
    return found


def block(page: str, beginning: str) -> str:
    """Return the code block of a page that begins with a text."""
    return next(text for _, text in blocks(page) if text.startswith(beginning))


def commands(page: str) -> str:
    """Return the `sh` blocks of a page as one script, without the exceptions."""
    script = "".join(text for language, text in blocks(page) if language == "sh")
    lines = [line for line in script.splitlines() if line not in EXCEPTIONS]
    return "\n".join(lines)


def run_script(clone: Path, directory: str, script: str, port: int) -> Completed:
    """Run shell commands in a directory of a clone, on a free port."""
    script = script.replace("5111", str(port))
    variables = {"ENGINE": "local", "PORT": str(port)}
    return run("bash", "-euo", "pipefail", "-c", script, cwd=clone / directory, env=variables)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a clone in which `make demo` has run, and its output."""
    clone = make_clone(tmp_path_factory.mktemp("docs"))
    done = make(clone, ".", "demo", ENGINE="local", PORT=free_port())
    return clone, output_of(done)


# The commands


def normalized(line: str) -> str:
    """Return a line of output without figures and spaces, which vary."""
    without_figures = re.sub(r"\d+(\.\d+)?", "N", line)
    return re.sub(r"\s+", " ", without_figures).strip()


def test_demo_prints_what_readme_shows(demo: tuple[Path, str]) -> None:
    printed = [normalized(line) for line in demo[1].splitlines()]
    position = 0
    for line in block("README.md", "---> Models").splitlines():
        if line == "...":
            continue
        assert normalized(line) in printed[position:], line
        position = printed.index(normalized(line), position) + 1


def running_servers(clone: Path) -> list[Path]:
    """Return the files of the local engine's servers that run."""
    files = (clone / ".local" / "run").glob("*.pid")
    return [file for file in files if find(file.with_suffix(""))]


def test_demo_leaves_no_server(demo: tuple[Path, str]) -> None:
    assert running_servers(demo[0]) == []


def test_second_demo_needs_no_network(demo: tuple[Path, str]) -> None:
    index = "http://127.0.0.1:9/simple"
    variables = {"UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index}
    output_of(make(demo[0], ".", "demo", ENGINE="local", PORT=free_port(), **variables))


def check_light_gbm(clone: Path) -> None:
    """Compare the files of the new model with those of docs/adding-a-model.md."""
    page = "docs/adding-a-model.md"
    directory = clone / "lightGBM"
    assert (directory / "Makefile").read_text() == block(page, "MODEL_NAME :=")
    assert (directory / ".s2i" / "environment").read_text() == block(page, "ROUTES=")
    predict = block(page, "from utils.serving").splitlines()
    assert [line for line in predict if line not in (directory / "predict.py").read_text()] == []
    compile(block(page, "from lightgbm"), page, "exec")


PAGES_WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS)
def test_commands_of_page_succeed(demo: tuple[Path, str], page: str) -> None:
    clone = demo[0]
    port = free_port()
    script = commands(page)
    directory = str(Path(page).parent) if Path(page).parent.name in MODEL_DIRS else "."

    new_model = "make new-model NAME=lightGBM"
    if script.startswith(new_model):
        output_of(run_script(clone, directory, f"git init --quiet; git add .; {new_model}", port))
        script = script.removeprefix(new_model)
        check_light_gbm(clone)

    output_of(run_script(clone, directory, script, port))
    assert running_servers(clone) == []


def test_failing_command_of_page_is_noticed(demo: tuple[Path, str]) -> None:
    assert run_script(demo[0], ".", "make no-such-target\ntrue", free_port()).returncode != 0


def test_every_exception_is_in_the_documentation() -> None:
    lines = {line for page in PAGES for _, text in blocks(page) for line in text.splitlines()}
    assert set(EXCEPTIONS) - lines == set()


def test_steps_of_readme_and_of_adding_a_model_are_the_same() -> None:
    for beginning in ("MODEL_NAME :=", "ROUTES="):
        short = block("README.md", beginning)
        assert block("docs/adding-a-model.md", beginning).startswith(short)


# Targets, links, sizes


def targets(directory: str) -> set[str]:
    """Return the targets that `make help-all` lists in a directory."""
    output = output_of(make(ROOT, directory, "help-all"))
    return set(re.findall(r"^  make (\S+)", output, re.MULTILINE))


def named_targets(text: str) -> set[str]:
    """Return the targets of the `make` commands in a text."""
    code = re.findall(r"`([^`\n]+)`", text) + [block[2] for block in FENCE.findall(text)]
    pattern = r"(?:^|&& )make (?:-C \S+ )?([a-z]+(?:-[a-z]+)*)"
    return set(re.findall(pattern, "\n".join(code), re.MULTILINE))


def test_every_target_in_the_documentation_exists() -> None:
    known = targets(".") | targets("all") | targets("logisticRegression")
    named = named_targets("\n".join(read(page) for page in PAGES))
    assert named - known == set()
    assert len(named) > 15


def test_unknown_target_is_noticed() -> None:
    text = "run `make nothing`\n\n```\nmake -C all no-such\n```\nto make it run"
    assert named_targets(text) == {"nothing", "no-such"}


def broken_links(page: str, text: str) -> list[str]:
    """Return the links of a page to files or headings that do not exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        anchors = headings(target.read_text()) if target.is_file() else set()
        if not target.exists() or (heading and heading not in anchors):
            broken.append(link)
    return broken


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    anchors = set()
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title.lower())
        anchors.add(words.replace(" ", "-"))
    return anchors


@pytest.mark.parametrize("page", PAGES)
def test_every_internal_link_leads_somewhere(page: str) -> None:
    assert broken_links(page, read(page)) == []


def test_broken_link_is_noticed() -> None:
    text = "[a](none.md) [b](README.md#none) [c](README.md#targets) [d](https://example.org)"
    assert broken_links("README.md", text) == ["none.md", "README.md#none"]


def test_every_page_of_docs_is_linked_from_readme() -> None:
    readme = read("README.md")
    pages = [f"docs/{page.name}" for page in ROOT.glob("docs/*.md")]
    assert [page for page in pages if f"({page})" not in readme] == []


def test_readme_fits_the_first_ten_minutes() -> None:
    lines = read("README.md").splitlines()
    assert len(lines) <= README_LINES
    assert [line for line in lines if len(line) > LINE_LENGTH] == []


def paths_in_table(text: str) -> list[str]:
    """Return the paths in the first column of README's table "What is where"."""
    table = text.partition("## What is where")[2]
    found = []
    for line in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE):
        folder = ""
        for path in re.findall(r"`([^`]+)`", line):
            if "/" in path:
                folder = path.rpartition("/")[0] + "/"
                found.append(path)
            else:
                found.append(folder + path)
    return [path.replace("<model>", MODEL_DIRS[-1]) for path in found]


def test_every_path_of_what_is_where_exists() -> None:
    paths = paths_in_table(read("README.md"))
    assert len(paths) > 25
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []


# Figures and quoted messages


def source_text() -> str:
    """Return the text of all programs of the product."""
    folders = ("builders", "engines", "utils", "common_utils", "extras", "tools", "all")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    files += ROOT.glob("*.sh")
    programs = [file for file in files if file.suffix in (".py", ".sh")]
    return "\n".join(file.read_text() for file in programs)


def quoted_messages() -> Iterator[str]:
    """Yield the messages in the first column of the table in docs/troubleshooting.md."""
    yield from re.findall(r"^\| `([^`]+)` \|", read("docs/troubleshooting.md"), re.MULTILINE)


def message_pattern(message: str) -> str:
    """Return the fixed beginning of a message; names and numbers in it are values."""
    return re.split(r"python:3|1001:0|3\.11|in MODEL_HMAC", message)[0].strip()


def test_every_message_of_troubleshooting_is_in_the_product() -> None:
    messages = list(quoted_messages())
    assert len(messages) >= 5
    system_messages = {
        "Address already in use",
        "Argument list too long",
        "Permission denied for user",
        "invalid peer certificate",
        "No CA certificates were loaded from the system",
    }
    source = source_text()
    missing = [message for message in messages if message_pattern(message) not in source]
    assert {message_pattern(message) for message in missing} <= system_messages


def test_size_of_each_model_file_is_what_its_page_says(trained: Path) -> None:
    units = {"KB": 1_000, "MB": 1_000_000}
    for model in MODEL_DIRS:
        figure, unit = re.findall(r"model file is ([\d.]+) (KB|MB)", read(f"{model}/README.md"))[0]
        file = trained / "models" / f"{setting(model, 'MODEL_NAME')}.pkl"
        stated = float(figure) * units[unit]
        assert stated == pytest.approx(file.stat().st_size, rel=0.15), model


def test_number_of_trees_is_what_the_pages_say() -> None:
    checked = 0
    for model in MODEL_DIRS:
        stated = re.findall(r"has (\d+) (?:\S+ )?trees", read(f"{model}/README.md"))
        fitted = re.findall(r"n_estimators=(\d+)", (ROOT / model / "train.py").read_text())
        assert stated == fitted, model
        checked += len(stated)
    assert checked == 2


def stated_scores(model: str) -> list[float]:
    """Return accuracy, AUC and log loss that a model's page states."""
    text = " ".join(read(f"{model}/README.md").split())
    pattern = r"accuracy ([\d.]+), AUC ([\d.]+) and log loss ([\d.]+)\."
    return [float(figure) for figure in re.findall(pattern, text)[0]]


def test_scores_of_pages_are_those_of_make_quality() -> None:
    output = output_of(make(ROOT, ".", "quality"))
    for model in MODEL_DIRS:
        name = setting(model, "MODEL_NAME")
        line = re.search(rf"{name} +(\d\.\d+) +(\d\.\d+) +(\d\.\d+) ", output)
        assert line, output
        measured = [float(figure) for figure in line.groups()]
        assert stated_scores(model) == pytest.approx(measured, abs=0.002), model
