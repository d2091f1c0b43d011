#!/usr/bin/env bash
# Runs tokio's own tests of its TCP streams and listeners (tests/tcp_*.rs) against aqueduct::tokio.
#
#   tests/tokio_suite.sh             against aqueduct
#   tests/tokio_suite.sh kernel      against tokio::net itself: checks the procedure
#
# The tests are not part of this repository: they come with the package of tokio that Cargo.lock names. Only imports
# are changed: the streams and listeners are aqueduct's, those for threads (`std::net`) too.
set -euo pipefail
cd "$(dirname "$0")/.."
face=${1:-aqueduct}
work=target/tokio-suite
crate=$work/$face

# Files and tests that cannot apply, each with its reason; docs/SEMANTICS.md, "Tasks", names both differences.
left_out=(
    "tcp_socket.rs|TcpSocket sets options of a raw descriptor before it connects or listens"
    "tcp_accept_ready.rs|its blocking client keeps the runtime's one thread from answering it, where the kernel answers"
)
excluded=()
if [ "$face" = kernel ]; then
    left_out=("tcp_socket.rs|is left out over aqueduct")
fi

version=$(awk '/^name = "tokio"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
find_sources() { compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/tokio-$version/tests" | head -n 1; }
tests=$(find_sources) || { cargo fetch --locked && tests=$(find_sources); }

# Standard input without the functions named as arguments (and without the attributes above them).
without_functions() {
    awk -v names="$*" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) drop[list[i]] = 1 }
        /^(#\[|\/\/)/ { held = held $0 "\n"; next }
        match($0, /^(async )?fn [a-z_0-9]+\(\)/) {
            name = $0; sub(/^(async )?fn /, "", name); sub(/\(.*/, "", name)
            if (name in drop) { dropping = 1; held = ""; next }
        }
        dropping { if ($0 == "}") dropping = 0; next }
        { printf "%s%s\n", held, $0; held = "" }'
}

# Standard input with aqueduct in the place of the kernel's TCP.
over_aqueduct() {
    sed -E \
        -e 's/^use tokio::net::\{TcpListener, TcpStream\};/use aqueduct::tokio::{Listener as TcpListener, Stream as TcpStream};/' \
        -e 's/^use tokio::net::TcpStream;/use aqueduct::tokio::Stream as TcpStream;/' \
        -e 's/^use tokio::net::TcpListener;/use aqueduct::tokio::Listener as TcpListener;/' \
        -e 's/^use std::\{net, thread\};/use std::thread;/' \
        -e 's/^use std::\{io::Write, net\};/use std::io::Write;/' \
        -e 's/std::net::TcpStream/aqueduct::Stream/g'
    cat <<'SHIM'

#[allow(dead_code, unused_imports)]
mod net {
    pub(crate) use aqueduct::{Listener as TcpListener, Stream as TcpStream};
}

SHIM
}

mkdir -p "$crate/tests" "$crate/src"
: >"$crate/src/lib.rs"
rm -f "$crate"/tests/*.rs
for file in "$tests"/tcp_*.rs; do
    name=$(basename "$file")
    if printf '%s\n' "${left_out[@]%%|*}" | grep -qx "$name"; then
        continue
    fi
    if [ "$face" = kernel ]; then
        cp "$file" "$crate/tests/$name"
    else
        # shellcheck disable=SC2046 # the names are words
        without_functions $(printf '%s\n' "${excluded[@]%%|*}") <"$file" | over_aqueduct >"$crate/tests/$name"
    fi
done
{
    echo '[package]'
    echo 'name = "tokio-suite"'
    echo 'version = "0.0.0"'
    echo 'edition = "2021"'
    echo 'publish = false'
    # The tests ask for features of tokio's own package.
    echo '[features]'
    echo 'default = ["full", "net", "macros", "rt", "io-util"]'
    printf '%s = []\n' full net macros rt io-util
    echo '[dependencies]'
    echo "aqueduct = { path = \"$PWD\", features = [\"tokio\"] }"
    echo "tokio = { version = \"=$version\", features = [\"full\", \"test-util\"] }"
    echo 'tokio-test = "=0.4.6"'
    echo 'tokio-stream = "=0.1.19"'
    echo 'futures = { version = "=0.3.34", features = ["async-await"] }'
    echo 'socket2 = "0.6"'
    echo 'tempfile = "3"'
    echo '[workspace]'
    # The same profile, so that what is built already is used.
    sed -n '/^\[profile\.dev/,/^$/p' Cargo.toml
} >"$crate/Cargo.toml"
# The versions of this repository, whatever the last run took.
cp Cargo.lock "$crate/Cargo.lock"

log=$work/$face.log
status=0
CARGO_TARGET_DIR=$PWD/target timeout 1500 cargo test --manifest-path "$crate/Cargo.toml" --tests >"$log" 2>&1 || status=$?
grep -E '^(error|test .*FAILED|---- |thread .* panicked)' "$log" || true
passed=$(grep -cE '^test .* ok$' "$log" || true)
for entry in "${left_out[@]}" "${excluded[@]}"; do
    echo "tokio suite: not run: ${entry%%|*}: ${entry#*|}"
done
files=$(find "$crate/tests" -name 'tcp_*.rs' | wc -l)
echo "tokio suite: $passed of tokio $version's own TCP tests passed over $face, all of $files files"
if [ "$status" -ne 0 ]; then
    tail -n 40 "$log"
    exit "$status"
fi
[ "$passed" -gt 0 ] || { echo "tokio suite: no test ran"; exit 1; }
