#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs.sh ROOT: every `room/file.c:name` in docs/ is a word of that file, and every file named so exists.
cd "$1" || exit 1
bad=0
refs=$(grep -ohE '`[a-z]+/[a-z0-9_]+\.(c|S|h|def)\b(:[A-Za-z0-9_]+)?' docs/*.md | tr -d '`' | sort -u)
for ref in $refs; do
	file=hv/${ref%%:*} name=${ref#*:}
	if [ ! -f "$file" ]; then
		echo "docs/ names $file, which does not exist"
		bad=1
	elif [ "$name" != "$ref" ] && ! grep -qw "$name" "$file"; then
		echo "docs/ names $name in $file, which has no such name"
		bad=1
	fi
done
[ -n "$refs" ] && [ $bad = 0 ]
