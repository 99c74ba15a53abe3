#!/bin/sh
# Mails each new verdict of a watch. Needs jq, and a `mail` such as that of Debian's bsd-mailx.
#
#   operator watch --pd http://pd0:2379 --exec 'docs/hooks/mail.sh oncall@example.com'
set -eu
document=$(cat)
subject=$(printf '%s' "$document" | jq -r '"TiKV, \(.run): \(.verdict.summary)"')
printf '%s' "$document" | jq -r '
  .verdict.summary, "",
  (.verdict.causes[] |
    "\(.mode), \(.target.name), since \(.onset_ms / 1000 | floor | todate), confidence \(.confidence)",
    (.evidence[] | "  \(.text)"),
    (.advice // empty | "  check: \(.check)", "  remedy: \(.remedy)", "  risk: \(.risk)"),
    ""),
  "operator replay \(.run)"' | mail -s "$subject" "$1"
