#!/usr/bin/env bash
# make-pd.sh PD_SERVER HEARTBEAT_BENCH: records a real PD cluster on loopback and breaks it: makes
# data/pd/pd-01.capture, … in parallel, about ten minutes. Both programs are built from PD's repository
# (cmd/pd-server, tools/pd-heartbeat-bench). The bench plays four stores with 600 regions; it has no
# metrics, so Prometheus scrapes PD alone.
set -euo pipefail
pd_server=$(realpath "$1"); bench=$(realpath "$2"); here=$(cd "$(dirname "$0")" && pwd)
operator=${OPERATOR:-$here/../target/release/operator}; scratch=$(mktemp -d)
mkdir -p "$here/pd"
baseline_s=150; fault_s=60; record_for=6m
trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

now_ms() { date +%s%3N; }
client() { echo "127.0.0.1:$((base + $1))"; }
pid_of() { cat "$lab/pd$1.pid"; }

start_member() {
  local cluster=""
  for i in 0 1 2; do cluster+="${cluster:+,}pd$i=http://127.0.0.1:$((base + 10 + i))"; done
  "$pd_server" --name="pd$1" --data-dir="$lab/pd$1" --client-urls="http://$(client "$1")" \
    --peer-urls="http://127.0.0.1:$((base + 10 + $1))" --initial-cluster="$cluster" \
    --log-file="$lab/pd$1.log" > /dev/null 2>&1 &
  echo $! > "$lab/pd$1.pid"
}

# The number of the member that leads, by the first that knows.
leader() {
  for i in 0 1 2; do
    curl -s -m 1 "http://$(client $i)/pd/api/v1/members" | grep -A1 '"leader"' | grep -o 'pd[0-9]' && return
  done | head -n 1 | tr -d pd
}

# The bench speaks to one member only: it is started anew wherever the leader moves.
play_stores() {
  local current="" found="" bench_pid=""
  printf 'store-count = 4\nregion-count = 600\nreplica = 3\nleader-update-ratio = 0.06\n' > "$lab/bench.toml"
  trap 'kill -9 $bench_pid 2>/dev/null; exit' TERM
  while sleep 0.5; do
    found=$(leader || true)
    [ -n "$found" ] || continue
    if [ "$found" != "$current" ] || ! kill -0 "$bench_pid" 2>/dev/null; then
      [ -z "$bench_pid" ] || kill -9 "$bench_pid" 2>/dev/null || true
      current=$found
      "$bench" --config "$lab/bench.toml" --pd-endpoints="http://$(client "$found")" \
        --status-addr="127.0.0.1:$((base + 30))" > "$lab/bench.log" 2>&1 &
      bench_pid=$!
    fi
  done
}

ask() { curl -s -X POST "http://$(client 0)/pd/api/v1/$1" -d "${2:-}" > /dev/null; }
signal() { local name=$1; shift; for i in "$@"; do kill "-$name" "$(pid_of "$i")"; done; }

# truth FAULT CHANGE MEMBER: what was done, when, to whom.
truth() {
  local fault=null change=null node=null address=null
  [ -z "$1" ] || fault="\"$1\""; [ -z "$2" ] || change="\"$2\""
  [ -z "$3" ] || { node="\"pd$3\""; address="\"$(client "$3")\""; }
  printf '{"fault":%s,"change":%s,"component":"pd","node":%s,"address":%s,"t_inject_ms":%s,"t_injected_ms":%s,"t_clear_ms":%s}\n' \
    "$fault" "$change" "$node" "$address" "$began" "$began" "$(now_ms)" > "$lab/truth.json"
}

# break SCENARIO: does it, waits, undoes it, writes the truth.
break_it() {
  local led others=()
  led=$(leader)
  for i in 0 1 2; do [ "$i" = "$led" ] || others+=("$i"); done
  began=$(now_ms)
  case $1 in
    quiet) sleep "$fault_s"; truth "" "" "" ;;
    follower-crash) signal KILL "${others[0]}"; sleep "$fault_s"; start_member "${others[0]}"
      truth pd_follower_crash "" "${others[0]}" ;;
    leader-crash) signal KILL "$led"; sleep "$fault_s"; start_member "$led"; truth pd_leader_crash "" "$led" ;;
    leader-pause) signal STOP "$led"; sleep "$fault_s"; signal CONT "$led"; truth pd_leader_pause "" "$led" ;;
    quorum-pause) signal STOP "${others[@]}"; sleep "$fault_s"; signal CONT "${others[@]}"
      truth pd_quorum_loss "" "" ;;
    quorum-crash) signal KILL "${others[@]}"; sleep "$fault_s"; for i in "${others[@]}"; do start_member "$i"; done
      truth pd_quorum_loss "" "" ;;
    transfer) ask leader/resign; sleep "$fault_s"; truth "" pd_leader_transfer "$led" ;;
    configure) ask config '{"schedule.leader-schedule-limit":0}'; sleep "$fault_s"; truth "" config_change "" ;;
  esac
}

run_lab() {
  local number=$1 scenario=$2 name
  name=$(printf 'pd-%02d' "$number"); base=$((21000 + number * 100)); lab=$scratch/$name
  mkdir -p "$lab"
  trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true' EXIT
  for i in 0 1 2; do start_member $i; done
  cat > "$lab/prometheus.yml" <<YAML
global: { scrape_interval: 15s }
scrape_configs:
- job_name: pd
  static_configs: [{ targets: ['$(client 0)', '$(client 1)', '$(client 2)'] }]
YAML
  "${PROMETHEUS:-prometheus}" --config.file="$lab/prometheus.yml" --storage.tsdb.path="$lab/tsdb" \
    --web.listen-address="127.0.0.1:$((base + 20))" --log.level=error > /dev/null 2>&1 &
  play_stores &
  until [ -n "$(leader || true)" ]; do sleep 1; done
  sleep 90  # until every region has sent its heartbeat and the leaders are spread
  "$operator" --dir "$lab" --quiet record --run "$name" --pd "http://$(client 0)" \
    --prometheus "http://127.0.0.1:$((base + 20))" --for "$record_for" & local recorder=$!
  sleep "$baseline_s"
  break_it "$scenario"
  wait "$recorder"
  rm -f "$here/pd/$name.capture"
  "$operator" compact "$lab/$name.capture" "$here/pd/$name.capture"
  "$operator" seal "$here/pd/$name.capture" --truth "$lab/truth.json"
}

number=0
for scenario in quiet follower-crash leader-crash leader-pause quorum-pause quorum-crash transfer configure; do
  number=$((number + 1))
  (run_lab "$number" "$scenario") &
done
wait
