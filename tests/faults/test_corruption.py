"""Damaged model files: every truncation and thousands of flipped bits are refused before an opcode is read."""

import json
import sys
from pathlib import Path

import pytest
from conftest import MODEL_DIRS, run, setting
from support.figures import FULL, Figure, times

# Children's programs, since a crash would take the tests with it. They print the counts of what came of each try.
TRUNCATED = """
import json, sys
from collections import Counter
from pathlib import Path
from utils import encode_decode
opcodes = []
encode_decode.pickletools.genops = opcodes.append
path, step = Path(sys.argv[1]), int(sys.argv[2])
content, seen = path.read_bytes(), Counter()
lengths = {*range(0, len(content), step), *range(max(0, len(content) - 500), len(content))}
for length in lengths:
    try:
        encode_decode._checked_body(path, encode_decode._authentic(path, content[:length]))
        seen["accepted"] += 1
    except encode_decode.ModelFileError:
        seen["refused"] += 1
print(json.dumps({**seen, "tried": len(lengths), "opcodes": len(opcodes)}))
"""
FLIPPED = """
import json, random, sys
from collections import Counter
from pathlib import Path
from utils import encode_decode
opcodes = []
encode_decode.pickletools.genops = opcodes.append
path, seen, random = Path(sys.argv[1]), Counter(), random.Random(0)
content, scratch = path.read_bytes(), sys.argv[3]
for _ in range(int(sys.argv[2])):
    place = random.randrange(len(content))
    flipped = bytearray(content)
    flipped[place] ^= 1 << random.randrange(8)
    Path(scratch, path.name).write_bytes(flipped)
    try:
        encode_decode.init_model(path.stem, scratch)
        seen["accepted"] += 1
    except encode_decode.ModelFileError:
        seen["refused"] += 1
print(json.dumps({**seen, "opcodes": len(opcodes)}))
"""
# The naive way: no digest, pickle.load and ONNX Runtime. Each try is a process of its own, as some die.
NO_DIGEST = """
import json, os, pickle, random, resource, signal, sys
from collections import Counter
from pathlib import Path
from utils.serving import Model
content, seen, random = Path(sys.argv[1]).read_bytes(), Counter(), random.Random(0)
def load(flipped):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    signal.alarm(20)
    try:
        contents = pickle.loads(flipped)
        model = Model(contents, ignore_unknown=True)
        model.predict(contents["golden"]["instances"])
    except Exception:
        os._exit(1)
    os._exit(0)
for _ in range(int(sys.argv[2])):
    flipped = bytearray(content)
    flipped[random.randrange(len(content))] ^= 1 << random.randrange(8)
    child = os.fork()
    if not child:
        load(bytes(flipped))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen["killed" if code < 0 else "refused" if code else "accepted"] += 1
print(json.dumps(seen))
"""


def counts(code: str, *arguments: object, seconds: float = 600) -> dict[str, int]:
    """What a child's program counted; it must not die."""
    done = run(sys.executable, "-c", code, *map(str, arguments), seconds=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(
        done.stdout.splitlines()[-1]
    )  # ONNX Runtime's Python prints errors too
    return found


def file(trained: Path, directory: str) -> Path:
    """The model file of a model directory."""
    return trained / "models" / f"{setting(directory, 'MODEL_NAME')}.pkl"


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_every_truncation_is_refused_before_an_opcode_is_read(
    trained: Path, directory: str, figure: Figure
) -> None:
    path = file(trained, directory)
    step = 1 if FULL else path.stat().st_size // 200
    found = counts(TRUNCATED, path, step, seconds=7200)
    assert found == {"refused": found["tried"], "tried": found["tried"], "opcodes": 0}
    assert found["tried"] >= (path.stat().st_size if FULL else 600)
    figure(
        f"{path.stem}: truncated to every length (quick: every {step}th)",
        f"{found['refused']:,} refused",
    )


@pytest.mark.parametrize("directory", MODEL_DIRS)
def test_a_flipped_bit_is_refused_before_an_opcode_is_read(
    trained: Path, tmp_path: Path, directory: str, figure: Figure
) -> None:
    path, tries = file(trained, directory), times(5000, 100)
    assert counts(FLIPPED, path, tries, tmp_path, seconds=3600) == {"refused": tries, "opcodes": 0}
    naive = counts(NO_DIGEST, path, times(500, 15), seconds=3600)
    assert naive["accepted"] > 0
    told = ", ".join(f"{count} {what}" for what, count in sorted(naive.items()))
    figure(
        f"{path.stem}: a bit flipped {tries:,} times", f"{tries:,} refused", f"no digest: {told}"
    )


def test_a_whole_file_is_taken(trained: Path, tmp_path: Path) -> None:
    """What the tests above would miss if everything were refused."""
    assert counts(
        TRUNCATED.replace("content[:length]", "content"), file(trained, MODEL_DIRS[0]), 10**9
    )["accepted"]
