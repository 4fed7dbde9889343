#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The real switcher on the real compositor, without a manager: it is there soon, does nothing while nothing happens, and goes
# when it is told to. usage: start.sh CARREL-SWITCHER
set -eu
switcher=$1
work=$(mktemp -d)
trap 'kill $pid 2>/dev/null || :; rm -rf "$work"' EXIT
before=$(grim -t ppm - | cksum)
begin=$(date +%s%N)
"$switcher" 2>"$work/log" &
pid=$!
while [ "$(grim -t ppm - | cksum)" = "$before" ]; do
	[ $((($(date +%s%N) - begin) / 1000000)) -lt 10000 ] || { echo "nothing on the screen after 10 s" >&2; cat "$work/log" >&2; exit 1; }
done
echo "on the screen after $((($(date +%s%N) - begin) / 1000000)) ms"
sleep 3
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
wakes() { cat /proc/$pid/task/*/status | awk '/^voluntary_ctxt_switches/ {n += $2} END {print n}'; }
t0=$(ticks) w0=$(wakes)
sleep 5
t1=$(ticks) w1=$(wakes)
echo "in 5 s of nothing: $((w1 - w0)) wake-ups, $(((t1 - t0) * 10)) ms of processor"
[ $((w1 - w0)) -le 12 ] || { echo "it does not sleep" >&2; exit 1; } # a minute may begin meanwhile
kill "$pid"
wait "$pid" || { echo "it ended with status $?" >&2; exit 1; }
