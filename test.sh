#!/usr/bin/env bash
# Installs what the tests need beside Rust, and runs all of them: a C compiler, Prometheus and its
# promtool, Alertmanager, a Compose implementation, jq, a library that fakes the time. `cargo test` alone needs none
# of the last five, takes a minute once built, and lists as ignored what it leaves to this script.
set -euo pipefail
cd "$(dirname "$0")"
packages=()
command -v cc > /dev/null || packages+=(build-essential)
command -v prometheus > /dev/null || packages+=(prometheus)
command -v prometheus-alertmanager > /dev/null || packages+=(prometheus-alertmanager)
command -v docker-compose > /dev/null || packages+=(docker-compose)
command -v jq > /dev/null || packages+=(jq)
[ -e "/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1" ] || packages+=(faketime)
if [ ${#packages[@]} -gt 0 ]; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update
  $sudo apt-get install -y --no-install-recommends "${packages[@]}"
fi
# Many tests wait for servers that they start, so twice as many run at once as there are processors.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}"
cargo test --locked --lib --bins -- --include-ignored
# The others replay recordings of a real cluster again and again: optimised, that saves twice what the build costs.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_OPT_LEVEL=1
cargo test --locked --test it -- --include-ignored
cargo test --locked --doc
