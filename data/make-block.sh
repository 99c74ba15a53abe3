#!/usr/bin/env bash
# make-block.sh RUN: cuts data/tsdb out of a recorded run's Prometheus blocks, for the tests against a
# real server. Deleting series and cleaning tombstones rewrites the block with every sample's bits,
# staleness markers included; `promtool tsdb dump` and `create-blocks-from` would not keep those.
set -euo pipefail
run=$(cd "$1" && pwd); here=$(cd "$(dirname "$0")" && pwd); port=${PORT:-19596}
keep='up|scrape_.+|process_.+|go_gc_duration_seconds|go_memstats_.+|tikv_store_size_bytes'
keep+='|tikv_raftstore_region_count|tikv_raftstore_apply_log_duration_seconds_.+|pd_cluster_status|probe_.+|node_load1'
scratch=$(mktemp -d); server=
finish() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"; }
trap finish EXIT
cp -r "$run/prometheus" "$scratch/tsdb"; chmod -R u+w "$scratch/tsdb"; : > "$scratch/empty.yml"
"${PROMETHEUS:-prometheus}" --config.file="$scratch/empty.yml" --storage.tsdb.path="$scratch/tsdb" \
  --storage.tsdb.retention.time=100y --web.listen-address="127.0.0.1:$port" --web.enable-admin-api \
  --log.level=error & server=$!
until curl -sf "http://127.0.0.1:$port/-/ready" > /dev/null; do sleep 0.2; done
admin="http://127.0.0.1:$port/api/v1/admin/tsdb"
curl -sf -X POST "$admin/delete_series" --data-urlencode "match[]={__name__!~\"$keep\",__name__=~\".+\"}"
curl -sf -X POST "$admin/clean_tombstones"
curl -sf -X POST "$admin/snapshot" > /dev/null
kill "$server"; wait "$server" 2>/dev/null || true; server=
rm -rf "$here/tsdb"; mkdir "$here/tsdb"; cp -r "$scratch"/tsdb/snapshots/*/0* "$here/tsdb/"
