#!/bin/sh
# Succeeds when PD says that the store at $STORE is Up. Any member will do: one may be down.
#
# PD prints an object a store, its address before its state, one field a line.
folder=${0%/*}
for member in pd0 pd1 pd2; do
  stores=$(sh "$folder/get.sh" "http://$member:2379/pd/api/v1/stores")
  case $? in
    0) ;;
    2) exit 1 ;;
    *) continue ;;
  esac
  printf '%s\n' "$stores" | {
    while IFS='"' read -r _ field _ value _; do
      case $field in
        address) address=$value ;;
        state_name) [ "$address" != "$STORE" ] || state=$value ;;
      esac
    done
    [ -n "$state" ] || echo "PD does not know the store $STORE" >&2
    [ "$state" = Up ]
  }
  exit
done
echo "no PD member answers" >&2
exit 1
