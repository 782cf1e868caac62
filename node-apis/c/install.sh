#!/bin/sh
# Builds the C and C++ node APIs of this checkout and installs them: headers, libraries, pkg-config and CMake packages. And
# the operator APIs, which are headers only.
#
#   node-apis/c/install.sh --prefix /usr/local
#
#   --prefix DIR   where to: DIR/include, DIR/lib, DIR/lib/pkgconfig, DIR/lib/cmake
#   --debug        the debug build
#   --from DIR     take libdora_node_api_c.{a,so} from there and build nothing
#
# What is installed finds itself: the prefix may be moved as a whole.
set -eu

die() {
    echo "install.sh: $*" >&2
    exit 1
}

prefix=
from=
profile=release
while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --from)
        [ $# -ge 2 ] || die "$1 needs a folder"
        if [ "$1" = --prefix ]; then prefix=$2; else from=$2; fi
        shift 2
        ;;
    --debug)
        profile=dev
        shift
        ;;
    -h | --help)
        sed -n 's/^# \{0,1\}//p' "$0" | sed 1d
        exit 0
        ;;
    *) die "unknown argument $1; see --help" ;;
    esac
done
[ -n "$prefix" ] || die "where to? --prefix DIR"

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "$from" ]; then
    # Told where it put them, rather than guessing: CARGO_TARGET_DIR and its kin.
    built=$(cd "$root" && cargo build --profile "$profile" --package dora-node-api-c --lib --message-format json-render-diagnostics)
    from=$(printf '%s\n' "$built" | sed -n 's/.*"filenames":\[[^]]*"\([^"]*\)\/libdora_node_api_c\.a".*/\1/p' | tail -n 1)
    [ -n "$from" ] || die "cargo did not say where libdora_node_api_c.a is"
fi
[ -f "$from/libdora_node_api_c.a" ] || [ -f "$from/libdora_node_api_c.so" ] || [ -f "$from/libdora_node_api_c.dylib" ] ||
    die "there is no libdora_node_api_c in $from"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
system=$(uname -s)
machine=$(uname -m)
case $system in
Linux) libs="-lgcc_s -lutil -lrt -lpthread -lm -ldl" ;;
Darwin) libs="-framework CoreServices -framework Security -lm" ;;
*) die "$system is not known here: copy the headers and libraries by hand" ;;
esac

mkdir -p "$prefix/include/dora" "$prefix/lib/pkgconfig"
cp "$here/include/node_api.h" "$prefix/include/"
cp "$root/node-apis/cxx/include/"*.h "$prefix/include/"
cp "$root/node-apis/cxx/include/dora/"*.h "$prefix/include/dora/"
# Also the bridge, which operators in C++ compile along.
cp "$root/node-apis/operator/include/"* "$prefix/include/"
for library in a so dylib; do
    # Removed first: a node that runs keeps the old file.
    rm -f "$prefix/lib/libdora_node_api_c.$library"
    [ -f "$from/libdora_node_api_c.$library" ] && cp "$from/libdora_node_api_c.$library" "$prefix/lib/"
done

fill() {
    sed -e "s|@VERSION@|$version|g" -e "s|@LIBS@|$libs|g" -e "s|@SYSTEM@|$system|g" -e "s|@MACHINE@|$machine|g" "$1" >"$2"
}
package() {
    mkdir -p "$prefix/lib/cmake/$2"
    fill "$1/$2.pc.in" "$prefix/lib/pkgconfig/$2.pc"
    fill "$1/cmake/$2-config.cmake.in" "$prefix/lib/cmake/$2/$2-config.cmake"
    fill "$here/cmake/version.cmake.in" "$prefix/lib/cmake/$2/$2-config-version.cmake"
}
package "$here" dora-node-api-c
package "$root/node-apis/cxx" dora-node-api-cxx
package "$root/node-apis/operator" dora-operator-api-c
package "$root/node-apis/operator" dora-operator-api-cxx
echo "dora node and operator APIs $version for C and C++ are in $prefix"
