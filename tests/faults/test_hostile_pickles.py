"""Hostile pickles with a valid digest: no code runs, memory and time are limited."""

from pathlib import Path
from typing import NamedTuple

from support.figures import Figure
from support.models import seal
from support.pickles import bombs, calls, foreign_files, harmless_files
from support.programs import result_of, run_program

MOST_KB = 400_000
MOST_SECONDS = 30


class Reading(NamedTuple):
    """Each file's outcome, the peak memory in KB and the longest time in seconds."""

    results: dict[str, str]
    peak: int
    longest: float


def read(directory: Path, bodies: dict[str, bytes]) -> Reading:
    """Read bodies with valid digests in a separate process."""
    for name, body in bodies.items():
        (directory / f"{name}.pkl").write_bytes(seal(body))
    return Reading(*result_of(run_program("read_models", directory)))


def unpickle(kind: str, directory: Path, bodies: dict[str, bytes]) -> dict[str, int]:
    """Load each body in a naive way; return the exit codes."""
    folder = directory / "naive"
    folder.mkdir(exist_ok=True)
    codes = {}
    for name, body in bodies.items():
        path = folder / name
        path.write_bytes(body)
        codes[name] = run_program("unpickle", kind, path, seconds=60).returncode
    return codes


def commands_run(kind: str, directory: Path, bodies: dict[str, bytes], marker: Path) -> int:
    """Return how many bodies run their command when loaded in a naive way."""
    marker.unlink(missing_ok=True)
    unpickle(kind, directory, bodies)
    return len(marker.read_text().splitlines())


def test_no_pickle_can_call_anything(tmp_path: Path, figure: Figure) -> None:
    marker = tmp_path / "ran"
    bodies = calls(f"echo >> {marker}")
    results = read(tmp_path, bodies).results
    other = {name: text for name, text in results.items() if " is not plain data" not in text}
    assert other == {}
    assert results.keys() == bodies.keys()
    assert not marker.exists()

    plain = commands_run("plain", tmp_path, bodies, marker)
    prefix = commands_run("prefix", tmp_path, bodies, marker)
    figure(
        f"calls in a pickle with a right digest: {len(bodies)}",
        "all refused, nothing run",
        f"plain pickle.load: {plain} run; an allow-list by prefix: {prefix}",
    )
    assert plain >= 10
    # The dotted name bypasses the allow-list.
    assert prefix > 0


def test_bombs_and_foreign_files_are_refused_in_little_memory_and_time(
    tmp_path: Path, figure: Figure
) -> None:
    bodies = {**bombs(), **foreign_files()}
    reading = read(tmp_path, bodies)
    assert reading.results.keys() == bodies.keys()
    assert "taken" not in reading.results.values(), reading.results
    assert reading.peak < MOST_KB
    assert reading.longest < MOST_SECONDS

    codes = unpickle("plain", tmp_path, bombs())
    failed = sum(code != 0 for code in codes.values())
    figure(
        f"bombs and foreign files with a right digest: {len(bodies)}",
        f"all refused, {reading.peak // 1000} MB and {reading.longest:.1f} s at most",
        f"plain: {failed} of {len(codes)} fail",
    )
    assert codes["long-binput"] != 0
    assert codes["doubled-lists"] == 0


def test_odd_but_plain_data_is_taken_and_runs_nothing(tmp_path: Path) -> None:
    bodies = harmless_files()
    assert read(tmp_path, bodies).results == dict.fromkeys(bodies, "taken")
