#!/bin/sh
# Succeeds when PD says that the store at $STORE is Up. Any member will do: one may be down.
#
# PD prints an object a store, its address before its state, one field a line.
for member in pd0 pd1 pd2; do
  url="http://$member:2379/pd/api/v1/stores"
  stores=$(curl -fsS --max-time 2 "$url" 2> /dev/null || busybox wget -q -T 2 -O - "$url" 2> /dev/null) || continue
  printf '%s\n' "$stores" | awk -F '"' -v store="$STORE" '
    $2 == "address" { at = $4 }
    $2 == "state_name" && at == store { found = 1; up = $4 == "Up" }
    END { exit !(found && up) }'
  exit
done
echo "no PD member answers" >&2
exit 1
