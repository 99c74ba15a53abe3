#!/bin/sh
# load.sh load|run: go-ycsb with what the environment says; PD is asked at pd0, pd1 and pd2.
set -eu
exec go-ycsb "$1" tikv \
  -p tikv.pd=pd0:2379,pd1:2379,pd2:2379 \
  -p tikv.type="$LOAD_API" \
  -p workload=core \
  -p recordcount="$LOAD_RECORDS" \
  -p operationcount="$LOAD_OPERATIONS" \
  -p fieldlength="$LOAD_FIELD_LENGTH" \
  -p readproportion="$LOAD_READ" \
  -p updateproportion="$LOAD_UPDATE" \
  -p insertproportion="$LOAD_INSERT" \
  -p scanproportion="$LOAD_SCAN" \
  -p requestdistribution="$LOAD_DISTRIBUTION" \
  --threads "$LOAD_THREADS" \
  --target "$([ "$1" = run ] && echo "$LOAD_RATE" || echo 0)"
