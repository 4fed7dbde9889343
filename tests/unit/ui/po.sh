#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every text of the switcher is translated, and every translation is sound. usage: po.sh CHECKOUT [--update]
set -eu
cd "$1"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
complain() {
	echo "$1" >&2
	bad=1
}
xgettext --msgid-bugs-address="the Carrel authors" --from-code=UTF-8 --add-comments=TRANSLATORS -k_ -kN_ --no-location -f ui/po/POTFILES -o "$tmp/now.pot"
if [ "${2:-}" = --update ]; then
	for po in ui/po/*.po; do
		msgmerge --quiet --no-fuzzy-matching --no-location "$po" "$tmp/now.pot" | msgattrib --no-obsolete -o "$po" -
	done
fi
ls ui/*.c | grep -v carrel-auth | sort >"$tmp/files"
sort ui/po/POTFILES | cmp -s - "$tmp/files" || complain "ui/po/POTFILES does not list the room's sources"
for language in $(cat ui/po/LINGUAS); do
	po=ui/po/$language.po
	msgfmt --check --output-file=/dev/null "$po" || complain "$po is not sound"
	msgmerge --quiet --no-fuzzy-matching "$po" "$tmp/now.pot" -o "$tmp/$language.po"
	for kind in untranslated only-fuzzy; do
		[ "$(msgattrib --$kind --no-obsolete "$tmp/$language.po" | grep -c '^msgid ' || :)" -le 1 ] || {
			complain "$po: $kind texts:"
			msgattrib --$kind --no-obsolete "$tmp/$language.po" >&2
		}
	done
done
exit $bad
