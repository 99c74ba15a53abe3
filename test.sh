#!/usr/bin/env bash
# Installs what the tests need beside Rust, a C compiler and a real Prometheus, and runs all of them.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
command -v cc > /dev/null || missing+=(build-essential)
command -v prometheus > /dev/null || missing+=(prometheus)
if [ ${#missing[@]} -gt 0 ]; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update
  $sudo apt-get install -y --no-install-recommends "${missing[@]}"
fi
cargo test --locked
