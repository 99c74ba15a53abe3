#!/bin/sh
# get.sh URL prints what answers at http://HOST:PORT/PATH, by whichever client the image has: curl,
# wget, busybox, or bash with timeout. Exits with 1 where nothing answers, 2 where there is no client.
#
# Two seconds and one attempt: of three members that are asked in turn, two may be silent.
url=$1
has() { command -v "$1" > /dev/null 2>&1; }

if has curl; then
  curl -fsS --max-time 2 "$url" || exit 1
elif has wget; then
  wget -q -t 1 -T 2 -O - "$url" || exit 1
elif has busybox; then
  busybox wget -q -T 2 -O - "$url" || exit 1
elif has bash && has timeout; then
  timeout 2 bash -c '
    authority=${1#http://}
    authority=${authority%%/*}
    carriage_return=$(printf "\r")
    exec 3<> "/dev/tcp/${authority%:*}/${authority##*:}" || exit
    printf "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n" "${1#http://*/}" "$authority" >&3
    read -r _ status _ <&3
    while IFS= read -r header <&3 && [ "$header" != "$carriage_return" ]; do :; done
    while IFS= read -r line <&3 || [ -n "$line" ]; do printf "%s\n" "$line"; done
    [ "$status" = 200 ]' get "$url" || exit 1
else
  echo "the image has no curl, no wget, no busybox, and not both bash and timeout: $url cannot be asked" >&2
  exit 2
fi
