"""Predict functions that start processes in every way."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

FOREVER = 600
IGNORE_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"


def double(number):
    """Return twice the number."""
    return 2 * number


def pool(msg):
    """Use a pool of processes, which its end terminates."""
    with multiprocessing.Pool(2) as processes:
        return {"doubled": processes.map(double, msg.payload)}


def start_method(msg):
    """Use a pool of processes that the method in the payload starts."""
    with multiprocessing.get_context(msg.payload).Pool(1) as processes:
        return {"doubled": processes.map(double, [1])}


def executor(msg):
    """Use an executor of processes."""
    with ProcessPoolExecutor(2) as processes:
        return {"doubled": list(processes.map(double, msg.payload))}


def manager(msg):
    """Use a process that holds a dictionary."""
    with multiprocessing.Manager() as process:
        values = process.dict(a=msg.payload)
        return {"value": values["a"]}


def child_signals(msg):
    """Answer with the signals for which a forked process has a handler."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        handled = [n for n in signal.valid_signals() if callable(signal.getsignal(n))]
        os.write(writer, json.dumps(handled).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return {"handled": json.loads(os.read(reader, 1000))}


def fork(msg):
    """Fork a process that never ends, as code does that forgets os._exit()."""
    pid = os.fork()
    if pid == 0:
        time.sleep(FOREVER)
    return {"children": [pid]}


def process(msg):
    """Start a process that is not waited for."""
    child = multiprocessing.Process(target=time.sleep, args=(FOREVER,))
    child.start()
    return {"children": [child.pid]}


def program(msg):
    """Start a program that is not waited for."""
    return {"children": [subprocess.Popen(["sleep", str(FOREVER)]).pid]}


def stubborn(msg):
    """Start a program that ignores SIGTERM."""
    child = subprocess.Popen([sys.executable, "-c", IGNORE_SIGTERM])
    return {"children": [child.pid]}


def grandchild(msg):
    """Start a program in a session of its own, whose parent ends at once."""
    command = f"setsid sleep {FOREVER} >&- 2>&- & echo $!"
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout
    return {"children": [int(output)]}
