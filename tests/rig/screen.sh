# SPDX-License-Identifier: Apache-2.0
# For scripts that look at the laptop's screen and press its keys: ". /mnt/rig/screen.sh". They set $name, for their messages.
. /mnt/rig/common.sh

fail() {
	echo "$name: FAILED: $*"
	echo "@picture failed" >"$CARREL_CHANNEL"
	carrelctl list
	systemctl --no-pager --failed
	journalctl --no-pager -b -p warning -n 30
	journalctl --no-pager -b -u carrel-desk -u carrel-switcher -u 'carrel-view@*' -u seatd -n 60
	exit 1
}
# rig WORD…: asks the rig (README.md), and leaves in $answer what it says.
rig() {
	echo "@$*" >"$CARREL_CHANNEL"
	IFS= read -r -t 120 answer <"$CARREL_CHANNEL"
	case $answer in
	ok*) answer=${answer#ok} && answer=${answer# } ;;
	*) fail "rig $*: $answer" ;;
	esac
}
# pid UNIT: its main process; 0: none.
pid() { systemctl show -P MainPID "$1"; }
# busctl's words for a property of the desk.
desk_is() { [ "$(busctl get-property org.carrel.Desk /org/carrel/desk org.carrel.Desk1 "$1")" = "$2" ]; }
shown() { desk_is Shown "s \"$1\""; }
live() { busctl get-property org.carrel.Desk /org/carrel/desk org.carrel.Desk1 Views | grep -q "\"$1\" \"live\""; }
# screen_guest VM RUN: a small VM with a screen runs, and its view lives.
screen_guest() {
	define_guest "$1" 64M "$2" <<-END || fail "$1 is not defined"
		[display]
		screens=1
	END
	carrelctl start "$1" >/dev/null 2>&1 || fail "$1 does not start"
	until_ok 120 "the view of $1 lives" live "$1"
}
# remove_guest VM: forced off, and deleted.
remove_guest() {
	carrelctl off "$1" >/dev/null 2>&1 || fail "$1 cannot be forced off"
	carrelctl delete "$1" --yes >/dev/null 2>&1 || fail "$1 cannot be deleted"
}
# looks PICTURE MOST OTHER [AREA]: whether the screen, now PICTURE, has at most MOST pixels that are not as in OTHER.
looks() {
	rig picture "$1"
	rig differ "$1" "$3" ${4:-}
	[ "$answer" -le "$2" ]
}
# changed PICTURE LEAST OTHER [AREA]
changed() {
	rig picture "$1"
	rig differ "$1" "$3" ${4:-}
	[ "$answer" -ge "$2" ]
}
# drawn PICTURE: whether more than a colour or two are on the screen.
drawn() {
	rig picture "$1"
	rig colours "$1"
	[ "$answer" -gt 8 ]
}
# full PICTURE: whether a desktop is drawn. Its wallpaper has more colours than what is said in the middle of the screen while it
# starts, beside which this looks.
full() {
	sleep 8 # a look costs the machine that emulates this one time, too
	rig picture "$1"
	rig colours "$1" 20 100 220 600
	[ "$answer" -ge 30 ]
}
# carry VM KEY VM KEY: what is selected in the one goes to the other.
text_is_read() { [ "$(xenstore-read "/local/domain/$(xl domid "$1")/data/carrel-text/take")" = 0 ]; }
carry() {
	rig key "$2"
	until_ok 30 "$1, to carry from, is shown" shown "$1"
	rig key ctrl-alt-v
	until_ok 10 "the selected text of $1 is read" text_is_read "$1"
	rig key "$4"
	until_ok 30 "$3, to carry to, is shown" shown "$3"
	rig key ctrl-alt-v
}
# begins VM KEY SECONDS: it is started, and draws its desktop. One after the other: an emulated processor has time for one.
begins() {
	carrelctl start "$1" >/dev/null 2>&1 || fail "$1 does not start"
	until_ok 120 "the view of $1 lives" live "$1"
	rig key "$2"
	until_ok 30 "$2 shows $1" shown "$1"
	rig picture "$1-starting"
	until_ok "$3" "$1 has drawn its desktop" full "$1"
}
