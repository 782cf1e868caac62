#!/bin/sh
# Changes a dataflow while it runs. `DORA=path/to/dora` takes another `dora` than the one on PATH.
set -eu
cd "$(dirname "$0")"
flow=add-remove

# Shows a command, then runs it.
dora() {
    echo "\$ dora $*"
    "${DORA:-dora}" "$@"
}

# Waits until node $1 has printed a line with $2 in it.
until_said() {
    for _ in $(seq 200); do
        if "${DORA:-dora}" logs "$flow" "$1" --log-format json | grep -q "\"message\":\"$2"; then
            echo "  $1 says: $2 ..."
            return
        fi
        sleep 0.2
    done
    echo "$1 never said: $2" >&2
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
until_said receiver "value: "

echo "--- a filter beside the direct way"
dora node add --from-yaml filter-node.yml -d "$flow"
dora node connect sender/value filter/input -d "$flow"
dora node connect filter/output receiver/filtered -d "$flow"
until_said filter "passes on every 2. number"
until_said receiver "filtered: "
dora node list -d "$flow"

echo "--- the same node with another parameter"
dora node replace filter --from-yaml every-fifth.yml -d "$flow"
until_said filter "passes on every 5. number"

echo "--- without the filter again"
dora node disconnect filter/output receiver/filtered -d "$flow"
until_said receiver "\`filtered\` is closed"
dora node remove filter -d "$flow"

echo "--- a filter in the direct way, in one step"
dora node apply bypass.yml -d "$flow"
until_said filter "passes on every 3. number"
dora node info receiver -d "$flow"

echo "--- the changes belong to the dataflow: a restart keeps them, --original drops them"
dora restart "$flow"
dora node list -d "$flow" -q
dora restart "$flow" --original
dora node list -d "$flow" -q
