#!/bin/sh
# Posts each new verdict of a watch to a chat: an incoming webhook of Slack or Mattermost, or one of Discord
# with `/slack` at its end. Its address is its secret, so it comes from the environment. Needs jq and curl.
#
#   CHAT_WEBHOOK=https://… operator watch --pd http://pd0:2379 --exec docs/hooks/chat.sh
set -eu
jq '{ text: ([
  "*TiKV, \(.run)*: \(.verdict.summary)",
  (.notices[] | select(.about == "cause") | "\(.turn): \(.what), \(.target.name): \(.text)"),
  (.verdict.causes[0].advice // empty | "check: \(.check)")
] | join("\n")) }' | curl --silent --show-error --fail --max-time 20 \
  --header 'Content-Type: application/json' --data-binary @- "$CHAT_WEBHOOK"
