"""engines/package_context.py: the files that decide packages, and their digest."""

import sys
from collections.abc import Mapping
from pathlib import Path

import package_context
import pytest
from support.commands import ROOT, output_of, run
from support.models import MODEL_DIRS

BASE = "sha256:1"
FILES = {
    ".s2i/environment": "ROUTES=a:app.predict:predict\nSOURCE_DIGEST=1\nGIT_COMMIT=2\n",
    "requirements_train.txt": "pandas==1\n",
    "requirements_predict.txt": "numpy==1\n",
    "constraints.txt": "numpy==1\n",
    "app/__init__.py": "",
    "app/predict.py": "import numpy\n",
    "app/table.csv": "a,b\n",
}


def write(context: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder and return it."""
    for name, text in files.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return context


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The staged files of an application."""
    return write(tmp_path / "context", FILES)


def decisive(kind: str, context: Path) -> set[str]:
    """Return the files that decide a step, without folders."""
    paths = package_context.decisive_files(kind, context)
    return {str(path.relative_to(context)) for path in paths if path.is_file()}


def digest(context: Path, kind: str = "predict", base: str = BASE) -> str:
    """Return the digest of a step."""
    return package_context.digest(
        base, kind, context, package_context.decisive_files(kind, context)
    )


def test_packages_of_a_role_need_its_requirements_and_the_constraints(context: Path) -> None:
    assert decisive("predict", context) == {"requirements_predict.txt", "constraints.txt"}
    assert decisive("train", context) == {"requirements_train.txt", "constraints.txt"}

    (context / "requirements_train.txt").rename(context / "requirements.txt")
    assert decisive("train", context) == {"requirements.txt", "constraints.txt"}


@pytest.mark.parametrize(
    ("requirements", "named"),
    [
        ("-r base.txt\n", {"base.txt", "more/deep.txt"}),
        ("./wheels/a-1-py3-none-any.whl\n", {"wheels/a-1-py3-none-any.whl"}),
        ("--find-links wheels\n", {"wheels/a-1-py3-none-any.whl", "wheels/b.whl"}),
        ("a @ ./wheels/b.whl\n", {"wheels/b.whl"}),
        ("# ./wheels/b.whl\nnumpy==1 # -r base.txt\n", set()),
    ],
)
def test_files_that_requirements_name_decide_packages(
    context: Path, requirements: str, named: set[str]
) -> None:
    write(
        context,
        {
            "requirements_predict.txt": requirements,
            "base.txt": "--requirement=more/deep.txt\n",
            "more/deep.txt": "numpy==1\n",
            "wheels/a-1-py3-none-any.whl": "a",
            "wheels/b.whl": "b",
        },
    )
    assert decisive("predict", context) == {
        "requirements_predict.txt",
        "constraints.txt",
        *named,
    }


@pytest.mark.parametrize("requirements", ["-e .\n", "-r missing.txt\n"])
def test_requirements_that_cannot_work_are_reported(
    context: Path, tmp_path: Path, requirements: str
) -> None:
    (context / "requirements_predict.txt").write_text(requirements)
    program = ROOT / "engines/package_context.py"
    done = run(sys.executable, program, "predict", context, tmp_path / "output", BASE)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(f"requirements: {context}/requirements_predict.txt, line 1: ")


@pytest.mark.parametrize(
    ("script", "uses_modules"),
    [
        ("apt-get install -y tree\n", False),
        ('if [ "$ROLE" = predict ]; then exit; fi\n', False),
        ("bash app/setup.sh\n", False),
        ("python3 -m app.predict\n", True),
        ("cp -R app /opt\n", True),
        ("./app/predict.py\n", True),
        ("pip install .\n", True),
    ],
)
def test_modules_decide_the_setup_if_a_script_may_use_them(
    context: Path, script: str, uses_modules: bool
) -> None:
    modules = {"app/__init__.py", "app/predict.py"}
    others = {"setup.sh", "app/setup.sh", *FILES} - {".s2i/environment"} - modules
    write(context, {"setup.sh": "bash app/setup.sh\n", "app/setup.sh": script})
    assert decisive("setup", context) == (others | modules if uses_modules else others)


@pytest.mark.parametrize("directory", ["xgBoost", "all"])
def test_setup_of_our_models_needs_no_module(directory: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    run(ROOT / "engines/stage.sh", directory, context)
    found = decisive("setup", context)
    assert "setup.sh" in found
    assert [name for name in found if name.endswith(".py")] == []


def test_digest_does_not_change_with_the_code_the_routes_or_a_comment(context: Path) -> None:
    before = digest(context)
    write(
        context,
        {
            "app/predict.py": "import onnxruntime\n",
            "requirements_train.txt": "pandas==2\n",
            "requirements_predict.txt": "# what the model needs\n\nnumpy==1  # pinned\n",
            ".s2i/environment": "ROUTES=b:app.other:f\nSOURCE_DIGEST=3\nGIT_COMMIT=4\nWORKERS=2\n",
        },
    )
    assert digest(context) == before

    (context / "requirements_predict.txt").rename(context / "requirements.txt")
    assert digest(context) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements_predict.txt", "numpy==2\n"),
        ("constraints.txt", "numpy==1 --hash=sha256:1\n"),
        (".s2i/environment", "ROUTES=a:app.predict:predict\nUV_INDEX=elsewhere\n"),
    ],
)
def test_digest_changes_with_everything_that_decides_the_packages(
    context: Path, name: str, text: str
) -> None:
    before = digest(context)
    write(context, {name: text})
    assert digest(context) != before


def test_digest_changes_with_the_base_and_the_setup_with_its_script(context: Path) -> None:
    assert digest(context) != digest(context, base="sha256:2")

    write(context, {"setup.sh": "true\n"})
    before = digest(context, "setup")
    write(context, {"app/predict.py": "# edited\n"})
    assert digest(context, "setup") == before
    write(context, {"setup.sh": "false\n"})
    assert digest(context, "setup") != before


def test_digest_changes_with_the_settings_that_choose_versions(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(context)
    monkeypatch.setenv("PIP_TIMEOUT", "77")
    assert digest(context) == before
    monkeypatch.setenv("PIP_PRE", "1")
    assert digest(context) != before


def test_program_copies_the_files_and_the_variables_of_users(context: Path, tmp_path: Path) -> None:
    write(context, {".s2i/environment": "ROUTES=a:app.predict:predict\nCFLAGS=-O2 -g\n"})
    program = ROOT / "engines/package_context.py"
    output = tmp_path / "output"
    output.mkdir()
    done = run(sys.executable, program, "predict", context, output, BASE)
    assert done.stdout == f"{digest(context)}\n"
    copied = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert copied == {"requirements_predict.txt", "constraints.txt", ".s2i/environment"}
    assert (output / ".s2i/environment").read_text() == "CFLAGS=-O2 -g\n"

    # setup.sh may use any file.
    output = tmp_path / "setup"
    output.mkdir()
    write(context, {"code/only.py": ""})
    output_of(run(sys.executable, program, "setup", context, output, BASE))
    assert (output / "code/only.py").exists()

    assert run(sys.executable, program, "serve", context, output, BASE).returncode == 2


def test_predict_images_of_our_models_have_equal_packages(tmp_path: Path) -> None:
    digests = set()
    for directory in (*MODEL_DIRS, "all"):
        context = tmp_path / directory
        context.mkdir()
        output_of(run(ROOT / "engines/stage.sh", directory, context))
        digests.add(digest(context))
        # The control: the packages of training differ.
        assert directory == "all" or digest(context, "train") not in digests
    assert len(digests) == 1
