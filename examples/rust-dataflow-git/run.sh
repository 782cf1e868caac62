#!/bin/sh
# Builds and runs the dataflow with this checkout in the place of the repository on GitHub: without a network, and with
# nodes that fit the `dora` of the checkout. `DORA=path/to/dora` takes another `dora` than the one on PATH.
set -eu
cd "$(dirname "$0")"
: "${REPOSITORY:=file://$(cd ../.. && pwd)}"

# git's own setting that one URL stands for another, for this call alone.
export GIT_CONFIG_COUNT=1
export GIT_CONFIG_KEY_0="url.$REPOSITORY.insteadOf"
export GIT_CONFIG_VALUE_0=https://github.com/dora-rs/dora.git
exec "${DORA:-dora}" run --build dataflow.yml
