#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a program on a screen and a bus of its own. usage: with-desk.sh CARREL-DESK PROGRAM ARGUMENT…
# The compositor is the real one, headless; it has another bus than the program, where the program's fakes are. With
# CARREL_TEST_SAME_BUS set both have the same.
set -eu
desk=$1
shift
dir=$(mktemp -d)
children=
finish() {
	for child in $children; do kill "$child" 2>/dev/null || :; done
	wait 2>/dev/null || :
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM
export XDG_RUNTIME_DIR="$dir" HOME="$dir" XDG_CONFIG_HOME="$dir/config" GDK_BACKEND=wayland NO_AT_BRIDGE=1
export GSETTINGS_BACKEND=memory GIO_USE_VFS=local
dbus-daemon --session --nofork --nopidfile --address="unix:path=$dir/bus" 2>"$dir/bus.log" &
children="$children $!"
bus="unix:path=$dir/bus"
WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_HEADLESS_OUTPUTS=1 \
	DBUS_SYSTEM_BUS_ADDRESS="$([ -n "${CARREL_TEST_SAME_BUS:-}" ] && echo "$bus" || echo "unix:path=$dir/none")" \
	"$desk" -r "$dir/desk" -c "$dir/desk.conf" 2>"$dir/desk.log" &
children="$children $!"
tries=0
until [ -S "$dir/desk/shell" ] && [ -S "$dir/bus" ]; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || { echo "the compositor did not come up:" >&2; cat "$dir/desk.log" >&2; exit 1; }
	sleep 0.05
done
mkdir "$dir/locales" # as ui/main.c says
ln -s /usr/lib/locale/C.utf8 "$dir/locales/ja_JP.UTF-8"
export LOCPATH="$dir/locales" DBUS_SYSTEM_BUS_ADDRESS="$bus" WAYLAND_DISPLAY="$dir/desk/shell" CARREL_BACKLIGHT_DIR="$dir/backlight"
rc=0
"$@" || rc=$?
exit $rc
