#!/usr/bin/env bash
# Compares what a build prints with the golden outputs: stdout, stderr and exit code of every command in
# golden/commands, which lie in golden/outputs.
#
#   ./golden.sh                  build, run and compare; exit code 1 where anything differs
#   ./golden.sh --update         build, run and keep what was printed as the new golden outputs
#   ./golden.sh [--update] FILE  the same with the program FILE, without building
set -euo pipefail
cd "$(dirname "$0")"

update=
if [ "${1-}" = --update ]; then
  update=yes
  shift
fi
if [ $# -gt 0 ]; then
  program=$(realpath "$1")
else
  # No command there writes Parquet, so the small build does.
  cargo build --locked --quiet --no-default-features --bin operator
  program=$(realpath "${CARGO_TARGET_DIR:-target}/debug/operator")
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printed=$scratch/printed
mkdir "$printed"
# Help texts name the program as it was called.
ln -s "$program" "$scratch/operator"
program=$scratch/operator
export program printed
export COLUMNS=80 NO_COLOR=1

run() {
  local name=${1%%$'\t'*} arguments=${1#*$'\t'} code=0
  # The arguments carry their own quotes, as a shell reads them.
  eval "\"\$program\" $arguments" > "$printed/$name" 2> "$printed/$name.stderr" < /dev/null || code=$?
  { echo; echo "exit code $code"; cat "$printed/$name.stderr"; } >> "$printed/$name"
  rm "$printed/$name.stderr"
}
export -f run

tr '\n' '\0' < golden/commands | xargs -0 -P "$(nproc)" -I{} bash -c 'run "$1"' run {}

if [ -n "$update" ]; then
  rm -rf golden/outputs
  mkdir -p golden/outputs
  cp "$printed"/* golden/outputs/
  echo "kept the outputs of $(wc -l < golden/commands) commands"
elif diff -rq golden/outputs "$printed"; then
  echo "the outputs of $(wc -l < golden/commands) commands are the golden ones"
else
  diff -r golden/outputs "$printed" | cut -c 1-200 | head -n 100 || true
  exit 1
fi
