#!/usr/bin/env bash
# Tries the subject for real: starts it, breaks a node, and checks that the recorder's verdict names it.
#
#   ./try.sh                  pulls and builds what is missing, as README.md does
#   ./try.sh --local-images   takes images as the engine has them: nothing is pulled or built
#   ./try.sh --keep           leaves the containers running, and says how to remove them
#
# It runs the section "Record a cluster of your own in Docker" of the repository's README: the cluster under
# load, a store that is killed and started again, the verdict over the capture. Where TiKV's image is
# unavailable it says so and runs the rest: PD, Prometheus and the recorder, and PD's leader is paused.
# Versions and images are set in .env or in the environment. It takes about ten minutes after the
# images are there, and each step has a time limit. Everything runs in a Compose project of its own,
# on ports of its own, and is removed at the end; the capture stays in captures/.
#
# Exit codes: 0 as expected; 1 not as expected; 2 not tried, since an engine or an image that it cannot
# do without is missing; 3 as expected, but without TiKV.
set -uo pipefail
cd "$(dirname "$0")" || exit 2

# Seconds of quiet before the fault, of the fault, and of quiet after it.
before=${TRY_BEFORE:-120} fault=${TRY_FAULT:-60} after=${TRY_AFTER:-60}
keep=no local_images=no
for argument in "$@"; do
  case $argument in
    --keep) keep=yes ;;
    --local-images) local_images=yes ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' try.sh >&2; exit 2 ;;
  esac
done

export COMPOSE_PROJECT_NAME=operator-try-$$ OPERATOR_RUN=${OPERATOR_RUN:-try-$(date -u +%Y%m%dT%H%M%SZ)}
export PD_PORT=0 PROMETHEUS_PORT=0 GRAFANA_PORT=0
compose=()

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }
stop_trying() { say "not tried: $*"; exit 2; }
fail() { say "FAILED: $*"; exit 1; }

# within SECONDS COMMAND…: its output is shown only where it fails.
within() {
  local output status
  output=$(timeout "$@" 2>&1) && return 0 # Alone, `return` in a trap would give the status before it.
  status=$?
  [ "$status" != 124 ] || output+=$'\n'"no end within $1 s"
  printf '%s\n' "$output" | tail -n 20 >&2
  return "$status"
}
compose_within() { within "$1" "${compose[@]}" "${@:2}"; }

find_engine() {
  docker info > /dev/null 2>&1 || stop_trying "no container engine answers \`docker info\`"
  if docker compose version > /dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose > /dev/null; then
    compose=(docker-compose)
  else
    stop_trying "there is neither \`docker compose\` nor \`docker-compose\`"
  fi
  compose+=(--profile load --profile operator)
  within 60 "${compose[@]}" config --quiet || stop_trying "Compose refuses docker-compose.yaml"
  say "engine: Docker $(docker version -f '{{.Server.Version}}'), ${compose[0]}$([ "${compose[0]}" != docker ] || echo ' compose')"
}

# The image that a service is started from.
image_of() {
  timeout 60 "${compose[@]}" config 2> /dev/null | awk -v service="  $1:" '
    /^  [^ ]/ { inside = $0 == service }
    inside && $1 == "image:" { print $2; exit }'
}

# have SERVICE: whether its image is there, after a pull or a build where these are allowed.
have() {
  local image how=local
  image=$(image_of "$1")
  if [ "$local_images" = no ]; then
    case $1 in
      load | operator) how=built; compose_within 3600 build "$1" || how=failed ;;
      *) docker image inspect "$image" > /dev/null 2>&1 || { how=pulled; compose_within 900 pull "$1" || how=failed; } ;;
    esac
  fi
  if [ "$how" = failed ] || ! docker image inspect "$image" > /dev/null 2>&1; then
    say "image: $1: $image is unavailable"
    return 1
  fi
  say "image: $1: $image ($how)"
}

container() {
  docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1" | head -n 1
}

# await SECONDS SERVICE…: until all are healthy.
await() {
  local end=$((SECONDS + $1)) service state
  for service in "${@:2}"; do
    until state=$(docker inspect -f '{{.State.Health.Status}}' "$(container "$service")" 2> /dev/null); [ "$state" = healthy ]; do
      if [ "$SECONDS" -ge "$end" ]; then
        docker inspect -f '{{range .State.Health.Log}}{{.Output}}{{end}}' "$(container "$service")" 2>&1 | tail -n 5 >&2
        docker logs --tail 10 "$(container "$service")" >&2
        fail "$service is ${state:-not there} after $1 s"
      fi
      sleep 2
    done
  done
  say "healthy: ${*:2}"
}

quiet() { say "$2 for $1 s"; sleep "$1"; }

clean_up() {
  if [ "$keep" = yes ]; then
    say "kept: COMPOSE_PROJECT_NAME=$COMPOSE_PROJECT_NAME PD_PORT=0 PROMETHEUS_PORT=0 GRAFANA_PORT=0" \
      "${compose[*]} down -v removes it"
  elif compose_within 180 down -v --remove-orphans --timeout 10; then
    say "removed: the containers, volumes and network of $COMPOSE_PROJECT_NAME"
  else
    say "not removed: look for containers of $COMPOSE_PROJECT_NAME"
  fi
}

pd_leader() {
  timeout 30 "${compose[@]}" exec -T "$1" sh /health/get.sh http://127.0.0.1:2379/pd/api/v1/leader 2> /dev/null \
    | sed -n 's/.*"name": *"\(pd[0-9]\)".*/\1/p' | head -n 1
}

kill_a_store() {
  compose_within 60 kill tikv1 || fail "tikv1 cannot be killed"
  quiet "$fault" "tikv1 is killed"
  compose_within 60 start tikv1 || fail "tikv1 cannot be started"
  await 180 tikv1
}

pause_pd_leader() {
  compose_within 60 pause "$1" || fail "$1 cannot be paused"
  quiet "$fault" "$1, PD's leader, is paused"
  compose_within 60 unpause "$1" || fail "$1 cannot go on"
  await 120 "$1"
}

# read_capture: the capture is sealed, and whoever is in the group of captures/ can read it.
read_capture() {
  local capture=captures/$OPERATOR_RUN.capture
  compose_within 90 stop operator || fail "the recorder does not stop"
  [ -f "$capture" ] || fail "there is no $capture"
  case $(stat -c '%A %g' "$capture") in
    ????r*" $(stat -c %g captures)") say "capture: $capture, $(stat -c '%s bytes, %A, group %g' "$capture")" ;;
    *) fail "the group of captures/ cannot read the capture: $(stat -c '%A, group %g' "$capture")" ;;
  esac
}

# expect NODE CAUSE: the verdict's first cause is one of NODE, and of that kind. Without TiKV it stands beside
# another: that no store has come up.
expect() {
  local report status
  report=$(timeout 600 "${compose[@]}" run --rm --no-deps -T operator replay --run "$OPERATOR_RUN" 2> /dev/null)
  status=$?
  printf '%s\n' "$report" | sed -n '1,8s/^/          /p'
  [ "$status" = 10 ] || fail "replay exits with $status, where 10 says that a fault was found"
  if [ "$with_tikv" = yes ]; then
    [[ $(sed -n 1p <<< "$report") =~ $1([^0-9]|$) ]] || fail "the verdict does not name $1"
    [[ $(sed -n 2p <<< "$report") =~ ^\ +($2)\  ]] || fail "the cause is none of $2"
  else
    grep -qE "^ +store_never_up, cluster " <<< "$report" || fail "the verdict does not say that no store came up"
    grep -qE "^ +($2), $1 " <<< "$report" || fail "no cause is one of $2 at $1"
  fi
  say "verdict: $1, as it was broken"
}

find_engine
with_tikv=yes
services=(pd0 pd1 pd2 prometheus)
for service in pd0 prometheus operator; do have "$service" || stop_trying "nothing runs without $service"; done
for service in node grafana; do ! have "$service" || services+=("$service"); done
{ have tikv0 && have load; } || with_tikv=no
[ "$with_tikv" = no ] || services+=(tikv0 tikv1 tikv2 load run)
[ "$with_tikv" = yes ] || say "WITHOUT TIKV: no stores and no load; PD, Prometheus and the recorder are tried alone"

trap clean_up EXIT
trap 'fail interrupted' INT TERM
say "up: ${services[*]} operator"
compose_within 600 up -d --no-build "${services[@]}" operator || fail "the subject does not start"
await 180 pd0 pd1 pd2 prometheus operator
[ "$with_tikv" = no ] || await 300 tikv0 tikv1 tikv2
quiet "$before" "nothing is broken"
if [ "$with_tikv" = yes ]; then
  broken=tikv1
  kill_a_store
else
  broken=$(pd_leader pd0)
  [ -n "$broken" ] || fail "PD tells of no leader"
  pause_pd_leader "$broken"
fi
quiet "$after" "nothing is broken"
read_capture
if [ "$with_tikv" = yes ]; then
  expect "$broken" 'store_crash|store_restart'
  say "as expected"
else
  expect "$broken" 'pd_leader_pause|pd_leader_crash'
  say "as expected, WITHOUT TIKV"
  exit 3
fi
