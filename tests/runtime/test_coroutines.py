"""Predict functions that are coroutines, in the server and in predict-once."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from runtime.coroutines import wait
from runtime.endpoint import Endpoint
from runtime.loader import load_function
from runtime.message import call
from runtime.settings import ConfigurationError

BODY = b'{"payload": 1}'
SECONDS = 10


async def predict(msg: Any) -> dict[str, Any]:
    """Answer with the payload."""
    await asyncio.sleep(0)
    return {"predictions": [msg["payload"]]}


def predict_later(msg: Any) -> Awaitable[dict[str, Any]]:
    """Return a coroutine, as a decorator does."""
    return predict(msg)


class Model:
    """An object with an async method as its function."""

    async def __call__(self, msg: Any) -> dict[str, Any]:
        return await predict(msg)


@pytest.mark.parametrize("function", [predict, predict_later, Model(), Model().__call__])
def test_endpoint_waits_for_a_coroutine(function: Callable[[Any], Any]) -> None:
    response = Endpoint("a", function).answer(BODY)
    assert (response.status, response.body) == (200, b'{"payload":{"predictions":[1]}}')


def test_endpoint_waits_for_a_coroutine_on_a_running_event_loop() -> None:
    async def answer() -> int:
        return Endpoint("a", predict).answer(BODY).status

    assert asyncio.run(answer()) == 200


def test_asyncio_run_fails_on_a_running_event_loop() -> None:
    async def answer() -> None:
        coroutine = predict({"payload": 1})
        with pytest.raises(RuntimeError, match="running event loop"):
            asyncio.run(coroutine)
        coroutine.close()

    asyncio.run(answer())


def test_coroutines_of_all_threads_share_one_event_loop() -> None:
    async def loop_and_thread() -> tuple[int, str]:
        return id(asyncio.get_running_loop()), threading.current_thread().name

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(wait, loop_and_thread()) for _ in range(20)]
        found = {future.result(SECONDS) for future in futures}
    assert len(found) == 1
    assert {name for _, name in found} == {"coroutines"}


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a"),
        SystemExit("a"),
        KeyboardInterrupt("a"),
        asyncio.CancelledError("a"),
        GeneratorExit("a"),
        RecursionError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_endpoint_answers_after_a_coroutine_raised_any_exception(error: BaseException) -> None:
    async def fail(msg: Any) -> None:
        raise error

    response = Endpoint("a", fail).answer(BODY)
    assert response.status == 500
    assert type(error).__name__ in response.traceback
    assert Endpoint("a", predict).answer(BODY).status == 200


def test_endpoint_answers_after_a_task_of_the_application_stopped_the_loop() -> None:
    async def leave() -> None:
        raise SystemExit

    async def stop(msg: Any) -> dict[str, Any]:
        asyncio.get_running_loop().stop()
        return {}

    async def start(msg: Any) -> dict[str, Any]:
        started.append(asyncio.create_task(leave()))
        return {}

    started: list[asyncio.Task[None]] = []
    for function in (stop, start, predict):
        assert Endpoint("a", function).answer(BODY).status == 200
    # asyncio logs an exception that was not read.
    assert isinstance(started[0].exception(), SystemExit)


def test_forked_process_has_an_event_loop_of_its_own() -> None:
    call(predict, {"payload": 1})
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(call(predict, {"payload": 2})).encode())
        os._exit(0)

    os.close(writer)
    assert os.read(reader, 100) == b"{'predictions': [2]}"
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0


def generate(msg: Any) -> Iterator[int]:
    """Yield instead of returning an answer."""
    yield 1


async def generate_later(msg: Any) -> AsyncIterator[int]:
    """Yield instead of returning an answer."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_later])
def test_endpoint_names_a_generator(function: Callable[[Any], Any]) -> None:
    response = Endpoint("a", function).answer(BODY)
    assert response.status == 500
    assert "must return a dict, found" in response.traceback
    assert "generator" in response.traceback


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_function_with_yield_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyword: str
) -> None:
    # Python imports a module once, so each test has a module name of its own.
    module = f"yields_{tmp_path.name}"
    function = f"{keyword} predict(msg):\n    {{}}\n\n"
    (tmp_path / f"{module}.py").write_text(
        function.format("yield 1") + function.format("return {}").replace("predict", "returns")
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert callable(load_function("route a", module, "returns"))
    expected = f"route a: {module}.predict has a `yield`. Return the complete answer instead."
    with pytest.raises(ConfigurationError) as raised:
        load_function("route a", module, "predict")
    assert str(raised.value) == expected
