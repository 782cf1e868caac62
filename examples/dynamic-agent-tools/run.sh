#!/bin/sh
# Gives an agent a tool while it runs, takes it away, and gives it back. `DORA=path/to/dora` takes another `dora` than the
# one on PATH.
set -eu
cd "$(dirname "$0")"
flow=agent-tools

# Shows a command, then runs it.
dora() {
    echo "\$ dora $*"
    "${DORA:-dora}" "$@"
}

# How often the agent has said a line that begins with $1.
count() {
    "${DORA:-dora}" logs "$flow" agent --log-format json | grep -c "\"message\":\"$1" || true
}

# Waits until the agent says $1 once more than $2 times.
until_said() {
    for _ in $(seq 300); do
        if [ "$(count "$1")" -gt "$2" ]; then
            echo "  agent: $1"
            return
        fi
        sleep 0.2
    done
    echo "the agent never said: $1" >&2
    exit 1
}

"${DORA:-dora}" status >/dev/null 2>&1 && already=yes || already=no
dora up
leave() {
    "${DORA:-dora}" stop "$flow" >/dev/null 2>&1 || true
    # A coordinator that ran before goes on.
    if [ "$already" = no ]; then dora down; fi
}
trap leave EXIT
trap 'exit 130' INT TERM

dora start dataflow.yml --name "$flow" --detach
until_said "echo says: wish 1" 0
until_said "nobody offers calc" 0

echo "--- a second tool, step by step"
dora node add --from-yaml calc-tool-node.yml -d "$flow"
dora node connect agent/tool-request calc-tool/request -d "$flow"
dora node connect calc-tool/response agent/tool-response -d "$flow"
until_said "calc says: " 0

echo "--- without it the agent goes on"
dora node remove calc-tool -d "$flow"
until_said "nobody offers calc" "$(count "nobody offers calc")"

echo "--- the same tool in one step"
dora node apply calc-tool-patch.yml -d "$flow"
until_said "calc says: " "$(count "calc says: ")"
dora node list -d "$flow" -q
