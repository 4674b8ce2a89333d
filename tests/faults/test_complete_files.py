"""Files in the complete form that harm a process: loading them ends no worker."""

import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from support.commands import ROOT, wait_until
from support.complete import pipeline_of, with_estimator, write_complete
from support.figures import Figure, times
from support.hostile import GREAT, Aborts, AbortsOnRow, Waits
from support.models import instances_body, replace_model_file, seal
from support.programs import result_of, run_program
from support.server import Server, error_in

from utils.encode_decode import init_model, pickle_model
from utils.forms.skops import dump

HOSTILE = [f"support.hostile.{kind.__name__}" for kind in (Aborts, Waits, AbortsOnRow)]
APPLICATION = f"""
from utils.forms import trial
from utils.serving import served

trial.TRIAL_SECONDS = 3.0

@served("m", trusted={HOSTILE})
def predict(msg, model):
    return model.answer(msg)
"""
ROW = {"n": 0.5, "job": "a", "flag": True, "day": "31/01/2021"}
BODY = instances_body([ROW])
PYTHONPATH = os.pathsep.join(map(str, (ROOT / "builders", ROOT, ROOT / "tests")))
FUZZED = times(400, 25)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with an application."""
    folder = tmp_path_factory.mktemp("complete")
    (folder / "app.py").write_text(APPLICATION)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def contents(project: Path) -> dict[str, Any]:
    """The contents of a valid file of one tree."""
    return write_complete(project)


def problem_of(server: Server) -> str:
    """Return the last reason in the log, or an empty text."""
    lines = [line for line in server.output.splitlines() if "/m: model m: " in line]
    return lines[-1] if lines else ""


def reject(server: Server, project: Path, content: bytes, expected: str) -> None:
    """Replace the file; expect a reason, and answers of the last model."""
    answer = server.post("/m", BODY).json()
    pids = server.worker_pids()
    replace_model_file(project / "models" / "m.pkl", content)
    wait_until(lambda: expected in problem_of(server), 20)
    assert server.post("/m", BODY).json() == answer
    assert server.worker_pids() == pids


def test_files_that_harm_a_process_are_rejected_and_the_last_model_stays(
    project: Path, contents: dict[str, Any], figure: Figure
) -> None:
    pickle_model(contents, project / "models")
    with Server(project, "m:app:predict", PYTHONPATH=PYTHONPATH) as server:
        server.wait_until_ready()
        expected = {key: contents["golden"][key] for key in ("predictions", "scores")}
        golden = server.post("/m", instances_body(contents["golden"]["instances"]))
        assert golden.json()["payload"] == {**expected, "labels": [0, 1]}

        aborts = with_estimator(contents, Aborts, project)
        (project / "aborts").mkdir()
        (project / "aborts" / "m.pkl").write_bytes(aborts)
        reject(server, project, aborts, "loading it ends the process (SIGABRT). Train it again.")
        waits = with_estimator(contents, Waits, project)
        reject(server, project, waits, "loading it takes longer than 3 s. Train a smaller model.")
        other = pickle_model({**contents, "requires": {**contents["requires"], "skops": "0.1"}})
        needs = "it needs skops 0.1 (installed: 0.16.0). Write these lines into requirements"
        reject(server, project, other.read_bytes(), needs)
        untrusted = with_estimator(contents, Unlisted, project)
        name = f"{Unlisted.__module__}.Unlisted"
        reject(server, project, untrusted, f"types that are not trusted: {name}. If you trust")

        pickle_model({**contents, "modelDescription": "another valid file"})
        wait_until(lambda: "/m: model swapped" in server.output, 20)
    done = run_program("load_untried", project / "aborts", cwd=project)
    assert done.returncode == -6, "the control: without a trial, the process ends"
    figure("files that abort, wait, have other versions or types: 4", "all rejected", "it ends")


class Unlisted(DecisionTreeClassifier):
    """A tree that no list names."""


def test_an_untrusted_file_is_not_ready_by_name(project: Path, contents: dict[str, Any]) -> None:
    with_estimator(contents, Unlisted, project / "models")
    with Server(project, "m:app:predict", PYTHONPATH=PYTHONPATH) as server:
        wait_until(lambda: server.status() == 503, 20)
        reason = error_in(server.get("/ready"))["routes"]["/m"]
    name = f"{Unlisted.__module__}.Unlisted"
    line = f'@served("m", trusted={json.dumps([*HOSTILE, name])})'
    assert reason == (
        f"model m: the file contains types that are not trusted: {name}. "
        f"If you trust its origin and them, write them into predict.py: {line}"
    )


def test_a_row_that_ends_a_worker_is_logged_with_route_and_digest(
    project: Path, contents: dict[str, Any]
) -> None:
    with_estimator(contents, AbortsOnRow, project / "models")
    digest = init_model("m")["digest"]
    with Server(project, "m:app:predict", PYTHONPATH=PYTHONPATH, WORKERS="2") as server:
        server.wait_until_ready()
        wait_until(lambda: len(server.worker_pids()) == 2, 20)
        before = set(server.worker_pids())
        assert server.post("/m", BODY).status_code == 200
        headers = {"Content-Type": "application/json", "X-Request-Id": "mine"}
        with pytest.raises(requests.ConnectionError):
            server.post("/m", instances_body([{**ROW, "n": 2 * GREAT}]), headers)
        wait_until(lambda: len(set(server.worker_pids()) - before) == 1, 20)
        wait_until(lambda: server.status() == 200, 20)
        assert len(before & set(server.worker_pids())) == 1
        expected = f"a worker ended during POST /m (request mine, model {digest})."
        assert expected in server.output
        assert server.post("/m", BODY).status_code == 200


def set_left(tree: Any) -> None:
    """Give the root of a tree a child that does not exist."""
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 10**9
    tree.__setstate__(state)


def test_a_tree_with_a_missing_child_is_rejected(project: Path, contents: dict[str, Any]) -> None:
    """The control: skops alone loads it, and scikit-learn ends the process."""
    pipeline = pipeline_of(contents)
    set_left(pipeline[-1].tree_)
    folder = project / "trees"
    folder.mkdir()
    pickle_model({**contents, "model": dump(pipeline)}, folder)
    results, _ = result_of(run_program("load_graphs", folder))
    expected = "can't be loaded: a tree has a child that does not exist. Train it again."
    assert results == {"m": f"model m: {expected}"}
    assert run_program("skops_alone", folder / "m.pkl", cwd=project).returncode < 0


def fuzz(model: bytes, source: random.Random) -> bytes:
    """Return a file of skops in which some bytes of a member are different."""
    with zipfile.ZipFile(BytesIO(model)) as file:
        members = {name: bytearray(file.read(name)) for name in file.namelist()}
    content = members[source.choice(list(members))]
    for _ in range(source.choice((1, 1, 4, 32))):
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    changed = BytesIO()
    with zipfile.ZipFile(changed, "w") as file:
        for name, member in members.items():
            file.writestr(name, bytes(member))
    return changed.getvalue()


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(3, max_depth=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
    ],
    ids=["forest", "boosting"],
)
def test_fuzzed_files_with_a_valid_digest_end_no_process(
    project: Path, tmp_path: Path, estimator: Any, figure: Figure
) -> None:
    contents = write_complete(project, estimator)
    source = random.Random(0)
    for number in range(FUZZED):
        changed = {**contents, "model": fuzz(contents["model"], source), "modelName": f"m{number}"}
        pickle_model(changed, tmp_path)
    pickle_model({**contents, "modelName": "valid"}, tmp_path)
    results, _ = result_of(run_program("load_graphs", tmp_path, seconds=600))
    assert results.pop("valid") == "taken", "the control"
    assert len(results) == FUZZED
    taken = sum(result == "taken" for result in results.values())
    ended = sum("ends the process" in result for result in results.values())
    assert taken < FUZZED
    assert all(result.startswith("model m") for result in results.values() if result != "taken")
    figure(
        f"{type(estimator).__name__}: fuzzed {FUZZED} times, with a valid digest",
        f"{FUZZED - taken} rejected, {ended} of them ended the trial, no other process ended",
    )


CONTENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no versions": lambda contents: {"requires": {}},
    "versions of another type": lambda contents: {"requires": [1]},
    "a version of another type": lambda contents: {
        "requires": {**contents["requires"], "skops": 16}
    },
    "no bytes": lambda contents: {"model": b""},
    "no zip file": lambda contents: {"model": bytes(range(256))},
    "another engine": lambda contents: {"engine": "pickle"},
    "a scaler of other columns": lambda contents: {"scaler": {"columns": [{"name": "n"}]}},
    "a schema without columns": lambda contents: {"schema": {**contents["schema"], "columns": []}},
    "a bomb": lambda contents: {"model": bomb()},
}


def bomb() -> bytes:
    """Return a short zip file of two gigabytes of zeros."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", bytes(1 << 30))
        file.writestr("0.npy", bytes(1 << 30))
    return content.getvalue()


def test_hostile_contents_are_rejected_with_a_reason(
    project: Path, tmp_path: Path, contents: dict[str, Any]
) -> None:
    for number, change in enumerate(CONTENTS.values()):
        changed = {**contents, **change(contents), "modelName": f"m{number}"}
        pickle_model(changed, tmp_path)
    results, peak = result_of(run_program("load_graphs", tmp_path))
    reasons = {name: results[f"m{number}"] for number, name in enumerate(CONTENTS)}
    assert {name for name, reason in reasons.items() if not reason.startswith("model m")} == set()
    assert peak < 1_000_000


def test_a_flipped_bit_of_a_complete_file_is_rejected(
    project: Path, tmp_path: Path, contents: dict[str, Any]
) -> None:
    path = pickle_model(contents, project / "models")
    found = result_of(run_program("flip_bits", path, times(2000, 50), tmp_path))
    assert found == {"refused": times(2000, 50), "opcodes": 0}


def test_a_sealed_skops_file_alone_is_no_model_file(
    project: Path, tmp_path: Path, contents: dict[str, Any]
) -> None:
    (tmp_path / "m.pkl").write_bytes(seal(contents["model"]))
    results, _ = result_of(run_program("load_graphs", tmp_path))
    assert "rejected: " in results["m"]
    assert np.frombuffer(contents["model"][:2], "S2")[0] == b"PK", "the control: it is a zip file"
