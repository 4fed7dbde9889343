/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRELCTL_H
#define CARRELCTL_H

#include "carrel-api.h"
#include <json-glib/json-glib.h>
#include <stdio.h>

#define BUS_NAME "org.carrel"
#define BUS_PATH "/org/carrel"

/* Exit statuses; carrelctl(1) documents them. */
typedef enum {
	STATUS_OK,
	STATUS_FAILED,
	STATUS_USAGE,
	STATUS_NOT_FOUND,
	STATUS_DENIED,
	STATUS_STATE,
	STATUS_NO_ROOM,
	STATUS_TIMEOUT,
	STATUS_NO_MANAGER,
	STATUS_CANCELLED,
	STATUS_UNSUPPORTED,
	STATUS_INTERRUPTED = 130,
} Status;

/* Errors of our own: the code is the Status. */
#define CTL_ERROR (ctl_error_quark())
GQuark ctl_error_quark(void);

/* Where GOption puts what it finds; a command's table names fields by their offset. Integers: -1 is "not given". */
typedef struct {
	gboolean json, no_wait, yes, force, all, version;
	gboolean autostart, encrypted, keep_disks, paused, template, none;
	int vcpus, timeout, passphrase_fd;
	char *bus, *from, *definition, *format, *description, *title, *colour, *memory_min, *memory_max;
} Options;

typedef struct Command Command;

typedef struct {
	const Command *command;
	Options opt;
	GDBusConnection *bus;
	CarrelManager1 *manager;
	GSubprocess *agent;   /* asks for polkit's passwords, NULL: not needed so far */
	JsonNode *result;     /* what --json prints at the end */
	Status status;        /* of a command over several VMs: the first failure's */
	gboolean interrupted; /* begin no further job */
} Ctl;

struct Command {
	const char *name;
	/* As --help shows them. NAME, TEMPLATE, SNAPSHOT, DISK, MARK, FILE, JOB, COMMAND are completed as what they name; "a|b" is
	 * one of these words; "[" begins what may be left out; "…" at the end repeats the last. */
	const char *args;
	const char *summary;
	const char *help; /* further text of --help, or NULL */
	gboolean (*run)(Ctl *ctl, char **args, GError **error);
	const GOptionEntry *options[3];
	gboolean offline; /* needs no manager */
};

extern const Command commands[]; /* ends with a NULL name */
const Command *command_find(const char *name);
extern const GOptionEntry common_options[];
extern const GOptionEntry global_options[];
/* A copy of such a table whose arg_data points into opt. */
GOptionEntry *options_bind(const GOptionEntry *entries, Options *opt);

/* errors.c */
void ctl_set_error(GError **error, Status status, const char *format, ...) G_GNUC_PRINTF(3, 4);
Status status_of(const GError *error);
const char *status_error_name(const GError *error);
/* Tells people on stderr (as JSON with --json) and keeps the status. about: "start work", or NULL. */
void ctl_report(Ctl *ctl, const char *about, const GError *error);

/* bus.c: every call allows polkit to ask, on a terminal. */
gboolean ctl_connect(Ctl *ctl, GError **error);
GVariant *ctl_call(Ctl *ctl, gpointer proxy, const char *method, GVariant *args, GError **error);
int ctl_call_timeout(void);
CarrelVm1 *ctl_vm(Ctl *ctl, const char *name, GError **error);
/* All VMs and jobs with their properties, read in one call. */
GDBusObjectManager *ctl_objects(Ctl *ctl, GError **error);
/* Of those: CarrelVm1 in order of name; templates: TRUE only these, FALSE only the others, -1 both. */
GPtrArray *ctl_vms(GDBusObjectManager *objects, int templates);
/* The VM's name in an object path of the contract; "" for "/". */
char *vm_name_of_path(const char *path);
/* Runs each for every name, reporting errors and going on; FALSE is never returned, ctl->status tells. */
gboolean ctl_each_vm(Ctl *ctl, char **names, gboolean (*each)(Ctl *ctl, CarrelVm1 *vm, GError **error), GError **error);
guint64 size_parse(const char *option, const char *text, GError **error); /* 0 is an error */

/* agent.c. Whether a call that ended so is worth another try: it was denied, and a password can be asked for now. */
gboolean agent_helps(Ctl *ctl, const GError *error);
void agent_stop(Ctl *ctl);

/* job.c: calls the method that begins a job and follows it; with --no-wait prints the job's number. Adds what there is to
 * say to ctl->result. vm: its name, or NULL. lost_ok: that the manager goes away is how it ends. */
gboolean ctl_job(Ctl *ctl, gpointer proxy, const char *method, GVariant *args, GUnixFDList *fds, const char *vm, gboolean lost_ok,
	GError **error);

/* ask.c */
/* From --passphrase-fd, or asked on the terminal without echo, twice when confirm. Free with passphrase_free. */
char *passphrase_get(Ctl *ctl, const char *vm, gboolean confirm, GError **error);
char *passphrase_get_new(Ctl *ctl, const char *vm, GError **error); /* one in its place, twice */
void passphrase_free(char *passphrase);
/* Asks yes or no on the terminal; without one fails with a usage error that names --yes. */
gboolean ask_sure(Ctl *ctl, const char *question, GError **error);
/* The answer to a question whose Enter means yes; FALSE without a terminal. */
gboolean ask_again(const char *question);

/* text.c: everything that came from elsewhere goes through text_safe before a person sees it. */
char *text_safe(const char *text);       /* one line; what a terminal might obey is written as an escape */
char *text_safe_lines(const char *text); /* keeps line ends and tabs */
int text_width(const char *safe);        /* columns on the screen */
char *text_fit(const char *safe, int columns);
char *text_size(guint64 bytes);
char *text_time(guint64 ns);
char *text_duration(guint64 ns);
gboolean text_colours(int fd);
int terminal_width(int fd); /* 0: no terminal */

typedef struct Table Table;
/* NULL-terminated headers; a leading '>' aligns the column to the right. */
Table *table_new(const char *const *headers);
/* colour: SGR parameters ("31"), or NULL; text is made safe. */
void table_add(Table *table, const char *colour, const char *text);
void table_take(Table *table, char *text);
void table_print(Table *table);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)
const char *state_colour(const char *state);

/* cmd_run.c: whether it is encrypted and off, and its disks cannot be reached without its passphrase */
gboolean vm_is_locked(CarrelVm1 *vm);

/* json.c: names are the API's in lower case with '-'. */
JsonNode *json_of_vm(CarrelVm1 *vm);
JsonNode *json_of_value(GVariant *value);
char *json_name(const char *property);
/* Text that is safe on a terminal too. */
char *json_text(JsonNode *node, gboolean pretty);
JsonNode *json_take_object(JsonObject *object);
JsonNode *json_take_array(JsonArray *array);

/* The commands. */
typedef gboolean CommandFunc(Ctl *ctl, char **args, GError **error);
CommandFunc cmd_list, cmd_templates, cmd_show, cmd_snapshots, cmd_stats, cmd_jobs;
CommandFunc cmd_new, cmd_import, cmd_export, cmd_clone, cmd_delete;
CommandFunc cmd_start, cmd_shutdown, cmd_reboot, cmd_off, cmd_pause, cmd_unpause, cmd_suspend, cmd_resume, cmd_unlock, cmd_lock, cmd_passphrase;
CommandFunc cmd_snapshot, cmd_revert, cmd_snapshot_delete, cmd_changes;
CommandFunc cmd_get, cmd_set, cmd_edit, cmd_console, cmd_watch;
CommandFunc cmd_foreground, cmd_power, cmd_reload, cmd_cancel, cmd_help, cmd_complete;
#endif
