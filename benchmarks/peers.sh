#!/usr/bin/env bash
# Set up the peers that need an environment of their own. Throwaway: remove the folder to be rid of them.
#   bash benchmarks/peers.sh [FOLDER]     FOLDER: where the benchmark files are ($ROITRACE_BENCHMARKS)
set -euo pipefail
folder="${1:-${ROITRACE_BENCHMARKS:-${TMPDIR:-/tmp}/roitrace-benchmarks}}/peers"
mkdir -p "$folder"
if [ ! -x "$folder/suite2p/bin/python" ]; then
    python3 -m venv "$folder/suite2p.partial"
    # one torch for both, so that no second one comes with its requirements
    "$folder/suite2p.partial/bin/python" -m pip install --quiet "torch==2.13.0" "suite2p==1.1.*"
    mv "$folder/suite2p.partial" "$folder/suite2p"
fi
"$folder/suite2p/bin/python" -c 'from importlib.metadata import version; print("suite2p", version("suite2p"), "torch", version("torch"))'
