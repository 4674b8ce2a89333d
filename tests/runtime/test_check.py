"""runtime/check.py: a build fails if an import is certain to fail at start-up."""

import os
import sys
from pathlib import Path

import pytest
from support.commands import ROOT, Completed, run

PREDICT = "def predict(msg):\n    return {}\n"
# As an application that opens its model file at import.
MODEL = "open('models/no.pkl')\n"


def check(folder: Path, role: str = "predict", **files: str) -> Completed:
    """Run the check for app/serve.py in a folder with more files."""
    texts = {"app/__init__.py": "", "app/serve.py": PREDICT, **files}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    environment = {
        "PYTHONPATH": str(ROOT / "builders"),
        "IN_IMAGE": "0",
        "ROUTES": "one:app.serve:predict",
        "TRAIN_MODULE": "app.serve",
        "TRAIN_FUNCTION": "predict",
    }
    return run(sys.executable, "-m", "runtime.check", role, cwd=folder, env=environment)


CERTAIN = {
    "no module": ("import no_such\n", "ModuleNotFoundError(\"No module named 'no_such'\")"),
    "no module of a package": ("import json.no_such\n", "No module named 'json.no_such'"),
    "no own module": ("from . import other\n", "cannot import name 'other' from 'app'"),
    "no name in a module": ("from json import no_such\n", "cannot import name 'no_such' from"),
    "invalid Python in another": ("from . import broken\n", "SyntaxError("),
    "no module, below the model": (f"{MODEL}import no_such\n", "app/serve.py, line 2: there is no"),
    "no own module, below": (f"{MODEL}from .no_such import f\n", "no module 'app.no_such'"),
    "no module of another": (f"{MODEL}from . import needs\n", "app/needs.py, line 1: there is no"),
    "in a class, below": (f"{MODEL}class A:\n    import no_such\n", "app/serve.py, line 3: there"),
    "invalid Python in another, below": (
        f"{MODEL}from .broken import f\n",
        "app/broken.py: is not valid Python (SyntaxError(",
    ),
    "a NUL in another, below": (f"{MODEL}from . import nul\n", "app/nul.py: is not valid Python"),
}
OTHERS = {
    "app/broken.py": "def f(:\n",
    "app/needs.py": "import no_such\n",
    "app/nul.py": "a = 1\0\n",
    "app/fine.py": "import json.decoder\n",
}


@pytest.mark.parametrize("case", CERTAIN)
def test_import_that_can_never_succeed_fails_the_build(tmp_path: Path, case: str) -> None:
    source, message = CERTAIN[case]
    for role, where in (("predict", "route one"), ("train", "TRAIN_MODULE")):
        done = check(tmp_path, role, **{**OTHERS, "app/serve.py": source + PREDICT})
        assert done.returncode == 78
        assert done.stderr.startswith(f"check: {where}: importing app.serve failed: ")
        assert message in done.stderr


UNCERTAIN = {
    "a model file": MODEL,
    "a service": "import socket\nsocket.create_connection(('127.0.0.1', 9))\n",
    "a mounted module": "import models.architecture\n",
    "a shared library": "raise ImportError('libcuda.so.1: cannot open shared object file')\n",
    "an exit": "import sys\nsys.exit('no model')\n",
    "valid imports below": f"{MODEL}from .fine import json\nimport json.decoder\nimport app.fine\n",
    "a try below": f"{MODEL}try:\n    import no_such\nexcept ImportError:\n    pass\n",
    "an if below": f"{MODEL}if False:\n    import no_such\n",
    "a function below": f"{MODEL}def f():\n    import no_such\n",
    "another path below": f"{MODEL}import sys\nsys.path.append('lib')\nimport no_such\n",
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_import_that_may_succeed_at_start_up_is_a_warning(tmp_path: Path, case: str) -> None:
    source = UNCERTAIN[case]
    done = check(tmp_path, **{**OTHERS, "app/serve.py": source + PREDICT})
    assert done.returncode == 0
    assert done.stderr.startswith("check: warning: route one: importing app.serve failed: ")
    assert done.stderr.endswith("The server repeats this import at start-up.\n")


def test_import_in_a_try_is_not_needed(tmp_path: Path) -> None:
    optional = "try:\n    import no_such\nexcept ImportError:\n    pass\n"
    done = check(tmp_path, **{"app/serve.py": optional + PREDICT})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["flask.py", "flask/__init__.py", "numpy.py"])
def test_module_that_hides_an_installed_package_fails_the_build(tmp_path: Path, name: str) -> None:
    done = check(tmp_path, **{name: "x = 1\n"})
    package = name.partition("/")[0].removesuffix(".py")
    advice = "Rename your module, or move it into a package."
    expected = f"check: {name}: hides the installed package {package!r}. {advice}\n"
    assert (done.returncode, done.stderr) == (78, expected)


@pytest.mark.parametrize("name", ["flask/notes.txt", "app/flask.py", "own.py", "utils/__init__.py"])
def test_module_that_hides_no_package_is_accepted(tmp_path: Path, name: str) -> None:
    done = check(tmp_path, **{name: "x = 1\n"})
    assert (done.returncode, done.stderr) == (0, "")


def test_package_that_is_installed_from_the_application_is_accepted(tmp_path: Path) -> None:
    import flask

    text = Path(str(flask.__file__)).read_text()
    done = check(tmp_path, **{"flask/__init__.py": text})
    assert "hides" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_check_in_an_image_imports_as_the_user_of_the_server(tmp_path: Path) -> None:
    program = (
        "import os\nfrom runtime.check import become_server_user\nbecome_server_user()\n"
        "print(os.getuid(), os.getgid(), os.getgroups(), os.environ['HOME'])\n"
    )
    environment = {"PYTHONPATH": str(ROOT / "builders")}
    for in_image, expected in (("1", "1001 0 [] /tmp"), ("0", "0 0 ")):
        done = run(sys.executable, "-c", program, env={**environment, "IN_IMAGE": in_image})
        assert done.stdout.startswith(expected)
