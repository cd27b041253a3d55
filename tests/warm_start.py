"""Command lines and workers that start in a fraction of a second: children of one process that has everything imported.

An import of the package and what it rests on takes seconds of a processor, and tests that type commands, or kill workers, start many
processes. `typed_as` is for tests of what a command does; those of the process itself (signals, memory, what is imported) start a fresh one.
"""

from __future__ import annotations

import array
import ctypes
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING

import dask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Main = Callable[[Sequence[str]], int]

RESTS_ON = (
    *(
        "bokeh.plotting",
        "distributed",
        "h5netcdf",
        "imagecodecs",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
    ),
    *("pyarrow.parquet", "pynwb", "scipy.ndimage", "scipy.optimize", "scipy.stats"),
    *("skimage.feature", "skimage.filters", "skimage.measure", "skimage.morphology", "skimage.segmentation"),
)
WORKERS_NEED = (
    "roitrace.conversion",
    "roitrace.extraction",
    "roitrace.projection",
    "roitrace.results",
    "tests.block_sources",
)
PR_SET_PDEATHSIG = 1
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect({place!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    descriptors = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    there.sendmsg([len(call).to_bytes(8, "little")], [descriptors])
    there.sendall(call)
    sys.exit(int(there.recv(16) or b"70"))
"""


@contextmanager
def typed_as(name: str, folder: Path, what: str = "tests.warm_start:roitrace") -> Iterator[Path]:
    """Give a folder for ``PATH`` in which a command is called `name`, and answers as long as the block runs.

    `what` names a function ``() -> main(arguments) -> exit code``; whatever it loads before it returns is loaded once.
    """
    place, client = str(folder / "place"), folder / name
    client.write_text(CLIENT.format(python=sys.executable, place=place))
    client.chmod(0o755)
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.warm_start", place, what], cwd=root, stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.terminate()


@contextmanager
def warm_workers() -> Iterator[None]:
    """Let workers that dask starts in this block be children of a process that has imported what they need."""
    # the process stays until this one ends, and is one for all clusters: what distributed would have it import comes too late
    forkserver.set_forkserver_preload(["distributed.nanny", "distributed.worker", *WORKERS_NEED])
    forkserver.ensure_running()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


def roitrace() -> Main:
    """Import what a verb may import, and return the command line."""
    import roitrace
    from roitrace.cli import main

    for found in pkgutil.walk_packages(roitrace.__path__, "roitrace."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for module in RESTS_ON:
        importlib.import_module(module)
    return main


def serve(place: str, what: str) -> None:
    """Answer calls for ever, each in a child of its own."""
    _end_with_parent()
    module, _, name = what.partition(":")
    main = getattr(importlib.import_module(module), name)()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that have ended need no one to wait for them
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _answer(connection, main)


def _end_with_parent() -> None:
    """Let the end of the tests be the end of what hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(connection: socket.socket, main: Main) -> None:
    code = 70
    _end_with_parent()
    try:
        descriptors = array.array("i")
        head, sent, *_ = connection.recvmsg(8, socket.CMSG_LEN(3 * descriptors.itemsize))
        descriptors.frombytes(sent[0][2])
        call = b""
        while len(call) < int.from_bytes(head, "little"):
            call += connection.recv(1 << 16)
        arguments, folder, environment = json.loads(call)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["roitrace", *arguments]
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 (its traceback is told)
        os.write(2, traceback.format_exc().encode())
    finally:
        connection.sendall(str(code).encode())
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
