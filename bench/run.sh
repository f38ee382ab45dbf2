#!/usr/bin/env bash
# Measures a direct connection, the peers and the gateway side by side, from release builds, and prints a table.
#   bench/run.sh            everything, a quarter of an hour
#   bench/run.sh --quick    a look
#   bench/run.sh --help     what can be chosen
# `tests/e2e/setup.sh --bench` installs what it needs. Every server is private to the run, and ends with it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Thousands of silent clients, their gateway's side of it, and the servers.
ulimit -Sn 16384 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"
cargo=${CARGO:-cargo}
"$cargo" build --release --locked --package hoop-cli --package hoop-agent-bin --package hoop-bench
release=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
HOOP_E2E_BINARIES=$release exec "$release/hoop-bench" "$@"
