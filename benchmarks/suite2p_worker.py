"""Runs inside suite2p's own environment: extracts when told to, and says how long it took.

Arguments: binary, frames, height, width, ROIs (npz), where to write traces, threads.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from importlib.metadata import version

import numpy as np


def main() -> None:
    torch = import_module("torch")
    # torchvision's own operators are built for CUDA; it is imported, not used, and only asks for these names
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    extract_traces = import_module("suite2p.extraction.extract").extract_traces
    open_binary = import_module("suite2p.io").BinaryFile

    binary, frames, height, width, rois, target, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(rois) as given:
        rows = np.split(given["pixels"], given["indptr"][1:-1])
    masks = [(row, np.full(len(row), 1 / len(row), np.float32)) for row in rows]
    print(json.dumps({"version": version("suite2p")}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        with open_binary(Ly=int(height), Lx=int(width), filename=binary, n_frames=int(frames)) as movie:
            traces, _ = extract_traces(movie, masks, None, device=torch.device("cpu"))
        seconds = time.perf_counter() - start
        np.save(target, traces)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
