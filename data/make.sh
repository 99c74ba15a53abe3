#!/usr/bin/env bash
# make.sh FOLDER: turns a folder of recorded runs (run-01, run-02, …; each with Prometheus blocks in
# prometheus/, pd.jsonl.gz and truth.json) into data/chaos-01.capture, … through a real Prometheus.
set -euo pipefail
runs=$(cd "$1" && pwd); here=$(cd "$(dirname "$0")" && pwd)
operator=${OPERATOR:-$here/../target/release/operator}; port=${PORT:-19595}
scratch=$(mktemp -d); server=
finish() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"; }
trap finish EXIT
for run in "$runs"/run-*; do
  name=chaos-${run##*-}
  cp -r "$run/prometheus" "$scratch/tsdb"; chmod -R u+w "$scratch/tsdb"; : > "$scratch/empty.yml"
  "${PROMETHEUS:-prometheus}" --config.file="$scratch/empty.yml" --storage.tsdb.path="$scratch/tsdb" \
    --storage.tsdb.retention.time=100y --web.listen-address="127.0.0.1:$port" --log.level=error & server=$!
  until curl -sf "http://127.0.0.1:$port/-/ready" > /dev/null; do sleep 0.2; done
  from=$(cat "$run"/prometheus/*/meta.json | grep -o '"minTime": *[0-9]*' | grep -o '[0-9]*' | sort -n | head -n 1)
  to=$(cat "$run"/prometheus/*/meta.json | grep -o '"maxTime": *[0-9]*' | grep -o '[0-9]*' | sort -n | tail -n 1)
  "$operator" --dir "$scratch" record --run "$name" --prometheus "http://127.0.0.1:$port" \
    --from "$from" --to "$((to + 1))" --no-default-match --match '{__name__=~".+"}' --pd-log "$run/pd.jsonl.gz"
  kill "$server"; wait "$server" 2>/dev/null || true; server=
  rm -f "$here/$name.capture"
  "$operator" compact "$scratch/$name.capture" "$here/$name.capture"
  "$operator" seal "$here/$name.capture" --truth "$run/truth.json"
  rm -rf "$scratch"/*
done
