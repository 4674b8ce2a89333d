"""PAYLOAD=@FILE and PAYLOAD=-: engines pass the content on by standard input."""

import json
import subprocess
from pathlib import Path

import pytest
from support.clones import add_model
from support.commands import ROOT, clean_environment, make, output_of, run, without_programs

ENVIRONMENT = """
TRAIN_MODULE=finance_income_prediction.predict
TRAIN_FUNCTION=train
PREDICT_MODULE=finance_income_prediction.predict
PREDICT_FUNCTION=predict
"""
FUNCTIONS = """
def predict(msg):
    return {"characters": len(msg.payload["text"])}


def train(msg):
    print(len(msg.payload["text"]), "characters")
"""
MAKEFILE = "MODEL_NAME := house\nDATASET_NAME := x\nCONTAINER_NAME := house\ninclude ../model.mk\n"
LENGTH = 440_000
BODY = json.dumps({"text": "x" * LENGTH})


@pytest.fixture
def house(clone: Path) -> Path:
    """A model that needs no packages, built with the local engine."""
    files = {".s2i/environment": ENVIRONMENT, "predict.py": FUNCTIONS, "Makefile": MAKEFILE}
    directory = add_model(clone, **files)
    output_of(make(clone, "house", "build-train", ENGINE="local"))
    (directory / "body.json").write_text(BODY)
    return directory


@pytest.mark.parametrize("value", ["@body.json", "@house/body.json", "@ABSOLUTE", "-"])
def test_local_engine_reads_a_large_payload(clone: Path, house: Path, value: str) -> None:
    value = value.replace("ABSOLUTE", str(house / "body.json"))
    for target, expected in (
        ("predict-once", json.dumps({"characters": LENGTH})),
        ("train", f"{LENGTH} characters"),
    ):
        done = subprocess.run(
            ["make", "-s", "-C", "house", target],
            cwd=clone,
            env=clean_environment(ENGINE="local", PAYLOAD=value),
            input=BODY if value == "-" else "",
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout.strip().splitlines()[-1]) == (0, expected)


def test_value_itself_is_too_large_for_a_variable(clone: Path) -> None:
    with pytest.raises(OSError, match="Argument list too long"):
        make(clone, "house", "predict-once", ENGINE="local", PAYLOAD=BODY)


@pytest.mark.parametrize("name", ["none.json", "", "."])
def test_file_that_cannot_be_read_is_named(clone: Path, name: str) -> None:
    env = {"PAYLOAD": f"@{name}", "ENGINE": "local"}
    done = run(clone / "engines/run.sh", "predict-once", "house-train", cwd=clone, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"run.sh: PAYLOAD=@{name}: expected a file that can be read\n"


DOCKER = """case "$*" in
  run*) printf '%s\\n' "$@" "PAYLOAD is $PAYLOAD"; cat ;;
esac"""


def test_docker_engine_gives_a_large_payload_to_the_containers_input(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text(BODY)
    path = without_programs(tmp_path / "bin", {"docker": DOCKER, "s2i": ""})
    env = {"PATH": path, "ENGINE": "docker", "PAYLOAD": f"@{file}"}
    lines = output_of(run(ROOT / "engines/run.sh", "predict-once", "house-train", env=env))
    arguments = lines.splitlines()
    assert "--interactive" in arguments
    assert "--tty" not in arguments
    assert arguments[-2:] == ["PAYLOAD is -", BODY]

    # The control: a short payload is a variable.
    env["PAYLOAD"] = "{}"
    arguments = output_of(run(ROOT / "engines/run.sh", "predict-once", "x", env=env)).splitlines()
    assert "--interactive" not in arguments
    assert arguments[-1] == "PAYLOAD is {}"
