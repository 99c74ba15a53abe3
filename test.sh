#!/usr/bin/env bash
# Installs what the tests need beside Rust, a C compiler, and runs all of them.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v cc > /dev/null; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update
  $sudo apt-get install -y --no-install-recommends build-essential
fi
cargo test --locked
