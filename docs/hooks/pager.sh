#!/bin/sh
# Opens and resolves incidents by PagerDuty's events, version 2, one for each fault of a watch. The key of the
# integration comes from the environment. Needs jq and curl.
#
#   PAGER_KEY=… operator watch --pd http://pd0:2379 --exec docs/hooks/pager.sh
set -eu
jq --compact-output --arg key "$PAGER_KEY" '
  .run as $run
  | [.verdict.causes[] | select(.end_ms == null) | .target.name] as $open
  | .notices[] | select(.about == "cause")
  | (.turn == "ended" or .turn == "withdrawn") as $over
  # One fault of a place that is over resolves nothing while another one lasts there.
  | select(($over and (.target.name | IN($open[]))) | not)
  | {
    routing_key: $key,
    event_action: (if $over then "resolve" else "trigger" end),
    # Whatever mode it is attributed to, what happens at one place of one cluster is one incident.
    dedup_key: "operator/\($run)/\(.target.name)",
    payload: {
      summary: "\(.target.name): \(.what): \(.text)"[:1024],
      source: $run,
      severity: "critical",
      timestamp: (.onset_ms / 1000 | floor | todate),
      component: .target.name,
      class: .what
    }
  }' | while read -r event; do
  printf '%s' "$event" | curl --silent --show-error --fail --max-time 20 \
    --header 'Content-Type: application/json' --data-binary @- \
    "${PAGER_URL:-https://events.pagerduty.com/v2/enqueue}"
done
