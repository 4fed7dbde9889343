/* SPDX-License-Identifier: Apache-2.0 */
/* What the compositor's tests stand on: the rig (rig.c) on a bus of its own, with a manager that is told what to say, and
 * clients (client.c) that tell what they get. A wait that is in vain fails the test with what was waited for. */
#ifndef CARREL_DESK_LAB_H
#define CARREL_DESK_LAB_H

#include <gio/gio.h>

#include "carrel-api.h"
#include "carrel-desk-api.h"

#define CTRL 29
#define ALT 56
#define KEY_1 2
#define KEY_2 3
#define KEY_0 11
#define KEY_A 30
#define KEY_S 31
#define KEY_V 47
#define KEY_ESC 1
#define KEY_BACKSPACE 14

#define WORK_FRAME 0xd04020
#define PERSONAL_FRAME 0x20a040
#define WORK 0x102030u     /* what its view is painted with */
#define PERSONAL 0x405060u

typedef struct {
	char *name;
	int pid, fd;
	gboolean alive;
	GString *input;
	GPtrArray *lines; /* what was told and not yet waited for */
} Peer;

typedef struct {
	char *dir, *config;
	GTestDBus *bus;
	GDBusConnection *connection;
	GDBusObjectManagerServer *server;
	gboolean managing; /* the manager is there */
	char *foreground; /* what SetForeground said last */
	char *notice;     /* the last one that the desk gave */
	GSubprocess *rig;
	int control, listening;
	GString *answers;
	gint64 seen; /* what a watch told, in microseconds; -1: nothing yet */
	GPtrArray *peers;
} Lab;

/* extra: more lines for desk.conf. One output HEADLESS-1 of 1280x720. */
Lab *lab_new(const char *extra);
void lab_start(Lab *lab);          /* the compositor; lab_new() has done so */
void lab_kill(Lab *lab);           /* SIGKILL to it */
void lab_free(Lab *lab);           /* it must end well, sanitizers included */
void lab_run(Lab *lab, guint milliseconds);
void lab_manager(Lab *lab, gboolean there);
/* Once the desk knows that there is such a VM, if there is a manager to tell it. */
void lab_vm(Lab *lab, const char *name, const char *title, guint32 colour, int domain);
void lab_vm_gone(Lab *lab, const char *name);
void lab_vm_recording(Lab *lab, const char *name, gboolean recording);
void lab_two_vms(Lab *lab, Peer **work, Peer **personal); /* painted WORK and PERSONAL */

char *lab_command(Lab *lab, const char *format, ...) G_GNUC_PRINTF(2, 3); /* what follows "ok" */
/* Presses a chord and returns the microseconds until the output's picture had that colour there. */
gint64 lab_timed_chord(Lab *lab, guint code, const char *output, int x, int y, guint32 colour);
void lab_key(Lab *lab, guint code, guint pressed);
void lab_tap(Lab *lab, guint code);
void lab_chord(Lab *lab, guint code); /* with Ctrl and Alt */
guint32 lab_pixel(Lab *lab, const char *output, int x, int y);
void lab_wait_pixel(Lab *lab, const char *output, int x, int y, guint32 colour);
void lab_wait_no_pixel(Lab *lab, const char *output, int x, int y, guint32 colour); /* until there is another one */
GVariant *lab_desk(Lab *lab, const char *method, GVariant *args, GUnixFDList **fds, GError **error);
GVariant *lab_property(Lab *lab, const char *name);
void lab_wait_view(Lab *lab, const char *vm, const char *state);
void lab_wait_foreground(Lab *lab, const char *path);
void lab_wait_notice(Lab *lab, const char *part); /* of its text; it is forgotten then */
void lab_wait_closed(Lab *lab, int fd);           /* by the other side */
void lab_wait_shown(Lab *lab, const char *vm);

Peer *lab_peer(Lab *lab, const char *name);       /* waits for a living client of that name that is ready */
Peer *lab_shell(Lab *lab, const char *namespace, guint32 colour);
void peer_tell(Peer *peer, const char *format, ...) G_GNUC_PRINTF(2, 3);
char *peer_wait(Lab *lab, Peer *peer, const char *prefix); /* the line; what came before it is forgotten */
gboolean peer_heard(Lab *lab, Peer *peer, const char *prefix, guint milliseconds);
void peer_forget(Lab *lab, Peer *peer); /* what has come so far */
void peer_wait_gone(Lab *lab, Peer *peer);
#endif
