"""An application that starts at import what the variable STARTED names."""

import asyncio
import atexit
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from _thread import start_new_thread
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

STARTED = os.environ["STARTED"]
IMPORTED_BY = os.getpid()
FOREVER = 600
kept = []


def double(number):
    """Return twice the number."""
    return 2 * number


def thread_pool():
    """Use a pool of threads."""
    pool = ThreadPoolExecutor(1)
    assert pool.submit(double, 1).result() == 2
    return lambda: pool.submit(double, 2).result(5)


def unused_pool():
    """Create a pool that starts its threads when it is used."""
    pool = ThreadPoolExecutor(1)
    return lambda: pool.submit(double, 2).result(5)


def ended_thread():
    """Run a thread that ends."""
    thread = threading.Thread(target=double, args=(1,))
    thread.start()
    thread.join()
    return lambda: double(2)


def plain_thread():
    """Start a thread without the module threading."""
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            time.sleep(0.01)

    start_new_thread(tick, ())

    def wait():
        before = len(ticks)
        deadline = time.monotonic() + 5
        while len(ticks) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return 4

    return wait


def event_loop():
    """Run an event loop in a thread."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 4), loop).result(5)


def idle_loop():
    """Use an event loop once, and keep it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    return lambda: loop.run_until_complete(asyncio.sleep(0, 4))


def process_pool():
    """Use a pool of processes."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    assert pool.submit(abs, 1).result() == 1
    return lambda: pool.submit(abs, -4).result(5)


def manager():
    """Start a process that holds a dictionary."""
    kept.append(multiprocessing.Manager())
    values = kept[0].dict(a=4)
    return lambda: values["a"]


def program():
    """Start a program and talk to it."""
    command = [sys.executable, "-uc", "while True: print(2 * int(input()))"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask():
        child.stdin.write("2\n")
        child.stdin.flush()
        return int(child.stdout.readline())

    return ask


def connection():
    """Open a connection, as a client of a database does."""
    ends = socket.socketpair()

    def ask():
        ends[0].sendall(b"4")
        return int(ends[1].recv(1))

    return ask


def blas():
    """Multiply matrices in the threads of OpenBLAS."""
    import numpy as np

    square = np.ones((500, 500))
    assert (square @ square)[0, 0] == 500
    return lambda: int((square @ square)[0, 0]) // 125


def openmp():
    """Train in the threads of OpenMP, and answer once."""
    import numpy as np
    from xgboost import XGBClassifier

    table = np.random.default_rng(0).normal(size=(2000, 8))
    labels = (table[:, 0] > 0).astype(int)
    model = XGBClassifier(n_estimators=20, n_jobs=2).fit(table, labels)
    return lambda: len(model.predict(table)) // 500


def onnx():
    """Create a session of ONNX Runtime that has threads."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    pair = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "double", pair[:1], pair[1:])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    two = np.full(1, 2, np.float32)
    return lambda: int(session.run(None, {"x": two})[0][0])


def elsewhere():
    """Start a thread, change the folder and the environment, and block SIGTERM."""
    os.chdir("/")
    os.environ["ROUTES"] = "changed"
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    return thread_pool()


def broken():
    """Fail in every process but the first one."""
    if os.environ.get("PRELOAD") == "0":
        raise OSError("a second import")
    return thread_pool()


def at_exit():
    """Register a function for the end of the process."""
    atexit.register(double, 1)
    return lambda: double(2)


ANSWER = globals()[STARTED]()


def predict(msg):
    """Use what was started; the answer is always 4."""
    return {"answer": ANSWER(), "imported_by": IMPORTED_BY, "pid": os.getpid()}
