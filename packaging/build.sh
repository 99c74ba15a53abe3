#!/usr/bin/env bash
# Builds what a release contains for one target:
#
#   packaging/build.sh TARGET        such as x86_64-unknown-linux-gnu
#
# dist/operator-VERSION-TARGET.tar.gz has the program, its manual pages and completions, licence and changelog.
# Programs for Linux are linked statically and run on any distribution. packaging/out/ has the same files as
# `cargo deb --profile dist --no-build --target TARGET` takes them.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1
version=$(cargo pkgid --locked | sed 's/.*[#@]//')

case $target in
  *-linux-gnu) export RUSTFLAGS='-C target-feature=+crt-static' ;;
esac
cargo build --profile dist --locked --bin operator --target "$target"
program=${CARGO_TARGET_DIR:-target}/$target/dist/operator

rm -rf packaging/out
mkdir -p packaging/out/man packaging/out/completions dist
"$program" man packaging/out/man
"$program" completions bash > packaging/out/completions/operator
"$program" completions zsh > packaging/out/completions/_operator
"$program" completions fish > packaging/out/completions/operator.fish

name=operator-$version-$target
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/$name"
cp -r "$program" packaging/out/man packaging/out/completions LICENSE README.md CHANGELOG.md "$scratch/$name"
tar -C "$scratch" -czf "dist/$name.tar.gz" "$name"
