#!/bin/sh
# Serves the nodes on this machine, and runs the dataflow that downloads them. `DORA=path/to/dora` takes another `dora`
# than the one on PATH.
set -eu
cd "$(dirname "$0")"
nodes=../../target/release
port=8123

if [ ! -x "$nodes/rust-node" ]; then
    echo "there are no nodes yet: cargo build --release -p rust-dataflow-example --bins" >&2
    exit 1
fi
python3 -m http.server --bind 127.0.0.1 --directory "$nodes" "$port" >/dev/null 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

# Until it answers; that it never will (another program has the port) is an error.
for _ in $(seq 100); do
    kill -0 "$server" 2>/dev/null || { echo "python3 -m http.server cannot listen on port $port" >&2; exit 1; }
    python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
    sleep 0.1
done

# What the machine may have for the world outside is in the way here.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
"${DORA:-dora}" build dataflow.yml
"${DORA:-dora}" run dataflow.yml
