#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rig: --direct --mem 8G
# What the core keeps for itself on a machine of 8 GiB with the service domain and three guests: all memory without what is
# free and what the domains own. Runs in the service domain.
set -u
info() { xl info | awk -v k="$1" '$1 == k {print $3}'; }
owned() { xl list | awk 'NR > 1 {n += $3} END {print n}'; }
taken() { echo $(($(info total_memory) - $(info free_memory) - $(owned))); }

echo "BENCH core-alone $(taken) MiB"
for n in 1 2 3; do
	xl create -p /guest/guest.cfg "name=\"g$n\"" memory=512 maxmem=512 >/dev/null || exit 1
done
sleep 1
xl list
echo "BENCH core-and-three-guests $(taken) MiB"
echo "BENCH free-for-more-guests $(info free_memory) MiB"
