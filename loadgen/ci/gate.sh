#!/bin/sh
# gate.sh - does this build of streamd keep its promises? For any CI; streamload.yml does the same on GitHub.
#
#   loadgen/ci/gate.sh BUILD OUT [GATE...]
#
# BUILD holds streamd and streamload, OUT gets report.json, junit.xml, summary.md and report.html. With
# OUT/baseline.json there, the run is compared with it as well. Ends with streamload's code: 0 all gates
# pass, 4 a gate failed, 5 the runner was too busy to say, 6 worse than the baseline.
set -eu
build=$1
out=$2
shift 2
mkdir -p "$out"
log=$(mktemp)
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$log"' EXIT

"$build"/streamd --listen 127.0.0.1:0 --log-format json 2>"$log" &
server=$!
port=
until port=$(sed -n 's/.*"event_type":"listening".*"port":\([0-9]*\).*/\1/p' "$log") && [ -n "$port" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.05
done

[ $# -gt 0 ] || set -- 'latency.p99<37ms' 'drop_rate<=1%' 'failed_sessions==0'
n=$#
while [ "$n" -gt 0 ]; do # each GATE becomes --gate GATE
    set -- "$@" --gate "$1"
    shift
    n=$((n - 1))
done
[ ! -e "$out/baseline.json" ] || set -- "$@" --baseline "$out/baseline.json"

"$build"/streamload run "127.0.0.1:$port" --pipeline motion --sessions "${SESSIONS:-5}" \
    --duration "${DURATION:-10s}" --warmup "${WARMUP:-1s}" --json "$out/report.json" \
    --junit "$out/junit.xml" --markdown "$out/summary.md" --html "$out/report.html" "$@"
