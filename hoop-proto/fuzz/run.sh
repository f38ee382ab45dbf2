#!/usr/bin/env bash
# Fuzzes every decoder of hoop-proto, each for so many seconds (60), or one of them: run.sh [SECONDS] [TARGET].
# Bytes that break one are kept in artifacts/; when the decoder is mended, they become a seed in tests/decoders/seeds.rs.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:-60}"
targets=("${2:-}")
[ -n "${targets[0]}" ] || mapfile -t targets < <(cd fuzz_targets && ls -- *.rs | sed 's/\.rs$//')

cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked

cargo +nightly run --quiet --bin seeds
for target in "${targets[@]}"; do
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -timeout=5
done
