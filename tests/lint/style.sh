#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a glance at the sources must not find. usage: style.sh CHECKOUT
cd "$1" || exit 1
bad=0
complain() {
	[ -z "$2" ] || {
		printf '%s:\n%s\n' "$1" "$2"
		bad=1
	}
}
sources=$(find carrel meson.build hv dom0 tests docs installer graphics sound ui usb vdi \
	\( -name __pycache__ -o -name '*.pyc' \) -prune -o -type f -print 2>/dev/null)
code=$(printf '%s\n' "$sources" | grep -E '\.([chS]|def|lds|sh|py|build)$|^carrel$')

complain "no SPDX line at the top" "$(for f in $code; do head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"; done)"
complain "marks of unfinished work" "$(grep -nE '(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)([^A-Za-z]|$)' $code | grep -v '^tests/lint/style.sh:')"
complain "blanks at the end of a line" "$(grep -nE '[[:blank:]]+$' $code | head)"
complain "text of other files in the tree" "$(grep -nE '^(<<<<<<<|>>>>>>>) ' $sources)"
lines=$(find hv \( -name '*.[chS]' -o -name '*.def' \) -exec cat {} + | wc -l)
[ "$lines" -le 20000 ] || complain "hv/ is over its budget of 20000 lines" "$lines"
exit $bad
