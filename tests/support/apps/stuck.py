"""Predict functions that do not return, or end their process."""

import ctypes
import os
import threading
import time

FOREVER = 600
LOCK = threading.Lock()
LOCK.acquire()


def sleep(msg):
    """Sleep for the number of seconds in the payload."""
    time.sleep(msg.payload)
    return {"slept": msg.payload}


sleep_too = sleep


def work(msg):
    """Name the worker."""
    return {"pid": os.getpid()}


def sleep_in_c(msg):
    """Sleep in a library, without Python's lock."""
    ctypes.CDLL(None).sleep(FOREVER)


def loop(msg):
    """Calculate without an end."""
    while True:
        pass


def deadlock(msg):
    """Wait for a lock that no thread releases."""
    LOCK.acquire()


def wait_for_thread(msg):
    """Wait for a thread that does not end."""
    thread = threading.Thread(target=time.sleep, args=(FOREVER,))
    thread.start()
    thread.join()


def retry(msg):
    """Catch every exception and try again."""
    while True:
        try:
            time.sleep(FOREVER)
        except BaseException:
            continue


def hold_lock(msg):
    """Sleep in a library that keeps Python's lock, so that no other thread runs."""
    ctypes.PyDLL(None).sleep(FOREVER)


def crash(msg):
    """End the process without any clean-up."""
    os._exit(1)
