#!/usr/bin/env bash
# Runs the standard library's own tests of TcpStream and TcpListener against aqueduct.
#
#   tests/std_suite.sh             against aqueduct
#   tests/std_suite.sh kernel      against std::net itself: checks the procedure
#
# The tests are not part of this repository. They are read where a distribution's package has installed them
# (Debian: rust-src), or out of that package, downloaded into target/. Only paths are changed: `crate::` becomes
# `std::`, and two names are imported from aqueduct. Without the package the script says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."
face=${1:-aqueduct}
work=target/std-suite
crate=$work/$face

# Tests that cannot apply, each with its reason.
excluded=(
    "debug|compares the Debug text with a raw file descriptor, and a stream over UDP has none of its own"
)
if [ "$face" = kernel ]; then
    excluded+=("linger|std has not made set_linger stable")
fi

skip() {
    echo "std suite: SKIPPED: $1"
    exit 0
}

# Prints the folder that holds tcp/tests.rs and test.rs: library/std/src/net of some release.
find_sources() {
    local found deb
    found=$(compgen -G '/usr/src/rustc-*/library/std/src/net/tcp/tests.rs' | head -n 1 || true)
    if [ -z "$found" ]; then
        mkdir -p "$work/deb"
        deb=$(compgen -G "$work/deb/rust-src_*.deb" | head -n 1 || true)
        if [ -z "$deb" ]; then
            command -v apt-get dpkg-deb >/dev/null || return 1
            (cd "$work/deb" && { apt-get download rust-src || { apt-get update && apt-get download rust-src; }; }) \
                >"$work/deb/log" 2>&1 || return 1
            deb=$(compgen -G "$work/deb/rust-src_*.deb" | head -n 1) || return 1
        fi
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x -C "$work/deb" --wildcards '*/library/std/src/net/tcp/tests.rs' '*/library/std/src/net/test.rs'
        found=$(find "$work/deb" -path '*/net/tcp/tests.rs' | head -n 1)
    fi
    [ -n "$found" ] && dirname "$(dirname "$found")"
}

# Standard input without the functions named as arguments (and without the attributes above them).
without_functions() {
    awk -v names="$*" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) drop["fn " list[i] "() {"] = 1 }
        /^(#\[|\/\/)/ { held = held $0 "\n"; next }
        ($0 in drop) { dropping = 1; held = ""; next }
        dropping { if ($0 == "}") dropping = 0; next }
        { printf "%s%s\n", held, $0; held = "" }'
}

mkdir -p "$work"
net=$(find_sources) || skip "no rust-src package here, and none could be downloaded (apt-get download rust-src)"
mkdir -p "$crate/tests" "$crate/src"
: >"$crate/src/lib.rs"
if [ "$face" = kernel ]; then
    import='use std::net::{TcpListener, TcpStream};'
else
    import='use aqueduct::{Listener as TcpListener, Stream as TcpStream};'
fi
{
    echo '#![allow(warnings)]'
    echo '#[path = "../net_test.rs"] mod net_test;'
    echo "$import"
    # shellcheck disable=SC2046 # the names are words
    sed -e 's/crate::net::test::/net_test::/' -e 's/crate::/std::/g' \
        -e 's/ErrorKind::Uncategorized/ErrorKind::Other/' "$net/tcp/tests.rs" |
        without_functions $(printf '%s\n' "${excluded[@]%%|*}")
} >"$crate/tests/tcp.rs"
sed 's/crate::/std::/g' "$net/test.rs" | grep -v '^#!\[' >"$crate/net_test.rs"
{
    echo '[package]'
    echo 'name = "std-suite"'
    echo 'version = "0.0.0"'
    echo 'edition = "2021"'
    echo 'publish = false'
    echo '[dependencies]'
    echo "aqueduct = { path = \"$PWD\" }"
    echo '[workspace]'
    # The same profile, so that what is built already is used.
    sed -n '/^\[profile\./,/^$/p' Cargo.toml
} >"$crate/Cargo.toml"
cp Cargo.lock "$crate/Cargo.lock"

total=$(grep -c '^#\[test\]' "$net/tcp/tests.rs")
log=$work/$face.log
status=0
CARGO_TARGET_DIR=$PWD/target timeout 300 cargo test --manifest-path "$crate/Cargo.toml" --test tcp >"$log" 2>&1 ||
    status=$?
grep -E '^(error|test .*FAILED|---- |thread .* panicked)' "$log" || true
passed=$(grep -cE '^test .* ok$' "$log" || true)
for entry in "${excluded[@]}"; do
    echo "std suite: not run: ${entry%%|*}: ${entry#*|}"
done
release=$(sed -E 's|.*rustc-([0-9.]+)/.*|\1|' <<<"$net/")
echo "std suite: $passed of $total of Rust $release's own TCP tests passed over $face (${#excluded[@]} not run)"
if [ "$status" -ne 0 ]; then
    tail -n 40 "$log"
    exit "$status"
fi
[ "$((passed + ${#excluded[@]}))" -eq "$total" ] || { echo "std suite: some tests neither ran nor were named"; exit 1; }
