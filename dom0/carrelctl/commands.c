// SPDX-License-Identifier: Apache-2.0
/* Every command with its arguments and options: parsing, --help and completion are made from this. */
#include "carrelctl.h"

#define O(field) ((gpointer)G_STRUCT_OFFSET(Options, field))
#define END {NULL, 0, 0, 0, NULL, NULL, NULL}

const GOptionEntry global_options[] = {
	{"version", 0, 0, G_OPTION_ARG_NONE, O(version), "Print the version", NULL},
	END,
};

const GOptionEntry common_options[] = {
	{"json", 0, 0, G_OPTION_ARG_NONE, O(json), "Speak JSON, for programs", NULL},
	{"bus", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, O(bus), "Bus to use instead of the system's", "ADDRESS"},
	END,
};

static const GOptionEntry job_options[] = {
	{"no-wait", 0, 0, G_OPTION_ARG_NONE, O(no_wait), "Print the job's number and leave it to itself", NULL},
	END,
};

static const GOptionEntry list_options[] = {
	{"all", 'a', 0, G_OPTION_ARG_NONE, O(all), "Templates too", NULL},
	END,
};

#define CREATION \
	{"title", 0, 0, G_OPTION_ARG_STRING, O(title), "What people call it", "TEXT"}, \
	{"colour", 0, 0, G_OPTION_ARG_STRING, O(colour), "Colour of its frame", "#RRGGBB"}, \
	{"memory-min", 0, 0, G_OPTION_ARG_STRING, O(memory_min), "Least memory, as 512M", "SIZE"}, \
	{"memory-max", 0, 0, G_OPTION_ARG_STRING, O(memory_max), "Most memory, as 2G", "SIZE"}, \
	{"vcpus", 0, 0, G_OPTION_ARG_INT, O(vcpus), "Processors", "N"}, \
	{"autostart", 0, 0, G_OPTION_ARG_NONE, O(autostart), "Start it with the machine", NULL}, \
	{"encrypted", 0, 0, G_OPTION_ARG_NONE, O(encrypted), "Encrypt its disks; asks for a passphrase", NULL}, \
	PASSPHRASE

#define PASSPHRASE \
	{"passphrase-fd", 0, 0, G_OPTION_ARG_INT, O(passphrase_fd), "Read the passphrase from file descriptor N", "N"}

static const GOptionEntry new_options[] = {
	{"from", 0, 0, G_OPTION_ARG_STRING, O(from), "Template to make it from", "TEMPLATE"},
	{"definition", 0, 0, G_OPTION_ARG_FILENAME, O(definition), "VM file to make it from; '-' is standard input", "FILE"},
	CREATION,
	END,
};

static const GOptionEntry clone_options[] = {CREATION, END};

static const GOptionEntry import_options[] = {
	{"format", 0, 0, G_OPTION_ARG_STRING, O(format), "ovf, ova, qcow2, raw, vhd or vmdk; found out if not given", "FORMAT"},
	{"memory-max", 0, 0, G_OPTION_ARG_STRING, O(memory_max), "Most memory, as 2G", "SIZE"},
	{"vcpus", 0, 0, G_OPTION_ARG_INT, O(vcpus), "Processors", "N"},
	{"template", 0, 0, G_OPTION_ARG_NONE, O(template), "Make it a template", NULL},
	END,
};

static const GOptionEntry export_options[] = {
	{"format", 0, 0, G_OPTION_ARG_STRING, O(format), "ova, qcow2, raw, vhd or vmdk; as the file's name ends if not given", "FORMAT"},
	{"force", 'f', 0, G_OPTION_ARG_NONE, O(force), "Replace the file if there is one", NULL},
	END,
};

static const GOptionEntry unlock_options[] = {PASSPHRASE, END};

static const GOptionEntry start_options[] = {
	{"paused", 0, 0, G_OPTION_ARG_NONE, O(paused), "Leave it paused before its first instruction", NULL},
	PASSPHRASE,
	END,
};

static const GOptionEntry timeout_options[] = {
	{"timeout", 't', 0, G_OPTION_ARG_INT, O(timeout), "Wait so long for the guest; as its VM file says if not given", "SECONDS"},
	END,
};

static const GOptionEntry delete_options[] = {
	{"keep-disks", 0, 0, G_OPTION_ARG_NONE, O(keep_disks), "Leave its disks where they are", NULL},
	{"yes", 'y', 0, G_OPTION_ARG_NONE, O(yes), "Do not ask", NULL},
	END,
};

static const GOptionEntry revert_options[] = {
	{"yes", 'y', 0, G_OPTION_ARG_NONE, O(yes), "Do not ask", NULL},
	END,
};

static const GOptionEntry snapshot_options[] = {
	{"description", 'd', 0, G_OPTION_ARG_STRING, O(description), "What it is for", "TEXT"},
	END,
};

static const GOptionEntry foreground_options[] = {
	{"none", 0, 0, G_OPTION_ARG_NONE, O(none), "No VM is on screen", NULL},
	END,
};

const Command commands[] = {
	{"list", "", "List the VMs", "'*' marks the one on screen.", cmd_list, {list_options}, 0},
	{"show", "NAME", "Show everything about a VM", NULL, cmd_show, {NULL}, 0},
	{"templates", "", "List the templates that VMs can be made from", NULL, cmd_templates, {NULL}, 0},
	{"new", "NAME", "Make a VM from a template or a VM file", "Say either --from or --definition.", cmd_new,
		{new_options, job_options}, 0},
	{"import", "NAME FILE", "Make a VM from an OVF, OVA, qcow2, raw, VHD or VMDK file", NULL, cmd_import,
		{import_options, job_options}, 0},
	{"export", "NAME FILE", "Write a VM, or its first disk, to a file", "The VM must be off. The file appears when it is complete.",
		cmd_export, {export_options}, 0},
	{"start", "NAME…", "Start VMs", "An encrypted VM's passphrase is asked for on the terminal.", cmd_start,
		{start_options, job_options}, 0},
	{"shutdown", "NAME…", "Ask the guests to shut down, and wait", NULL, cmd_shutdown, {timeout_options, job_options}, 0},
	{"reboot", "NAME…", "Ask the guests to restart", NULL, cmd_reboot, {timeout_options, job_options}, 0},
	{"off", "NAME…", "Take their power away at once", NULL, cmd_off, {job_options}, 0},
	{"pause", "NAME…", "Stop their processors where they are", NULL, cmd_pause, {NULL}, 0},
	{"unpause", "NAME…", "Let paused VMs go on", NULL, cmd_unpause, {NULL}, 0},
	{"suspend", "NAME…", "Have the guests suspend themselves, in memory", NULL, cmd_suspend, {job_options}, 0},
	{"resume", "NAME…", "Wake suspended VMs", NULL, cmd_resume, {job_options}, 0},
	{"unlock", "NAME", "Open an encrypted VM's disks while it is off", "For snapshots, changes and export; asks for its passphrase. 'lock', or "
		"a start and its end, closes them.", cmd_unlock, {unlock_options, job_options}, 0},
	{"lock", "NAME…", "Close what 'unlock' opened", NULL, cmd_lock, {job_options}, 0},
	{"passphrase", "NAME", "Change an encrypted VM's passphrase", "Asks for the old one and for the new one; --passphrase-fd has a line for each. "
		"It may run.", cmd_passphrase, {unlock_options, job_options}, 0},
	{"delete", "NAME…", "Remove VMs with their files, disks and snapshots", NULL, cmd_delete, {delete_options, job_options}, 0},
	{"clone", "NAME NEW", "Make a second VM with the same disks", "The VM must be off. Disks are shared until written.", cmd_clone,
		{clone_options, job_options}, 0},
	{"snapshot", "NAME NEW", "Take a snapshot of a VM's disks", NULL, cmd_snapshot, {snapshot_options, job_options}, 0},
	{"snapshots", "NAME", "List a VM's snapshots", NULL, cmd_snapshots, {NULL}, 0},
	{"revert", "NAME SNAPSHOT", "Put a VM's disks back to a snapshot", "The VM must be off.", cmd_revert,
		{revert_options, job_options}, 0},
	{"snapshot-delete", "NAME SNAPSHOT", "Remove a snapshot", NULL, cmd_snapshot_delete, {job_options}, 0},
	{"edit", "NAME", "Edit a VM's file in $EDITOR", "The text is checked before it is taken, and can be mended.", cmd_edit, {NULL}, 0},
	{"get", "NAME [GROUP [KEY]]", "Print a VM's file, a group of it or one value", NULL, cmd_get, {NULL}, 0},
	{"set", "NAME GROUP KEY VALUE", "Set one key of a VM's file", "An empty VALUE ('') removes the key. Put -- before a VALUE that "
		"begins with '-'.", cmd_set, {NULL}, 0},
	{"console", "NAME", "Attach to a VM's console", "Ctrl-] leaves.", cmd_console, {NULL}, 0},
	{"changes", "mark|list NAME DISK [MARK]", "Mark a disk, or list what was written since a mark",
		"'mark' prints the name of the new mark; 'list' prints lines of offset and length in bytes.", cmd_changes, {NULL}, 0},
	{"stats", "[NAME…]", "Print figures of the machine and its running VMs, or of VMs", NULL, cmd_stats, {NULL}, 0},
	{"foreground", "[NAME]", "Print or set the VM that is on screen", "Memory, processors, disks and network follow it.",
		cmd_foreground, {foreground_options}, 0},
	{"watch", "[NAME…]", "Print what happens, as it happens", NULL, cmd_watch, {NULL}, 0},
	{"jobs", "", "List jobs, running and just ended", NULL, cmd_jobs, {NULL}, 0},
	{"cancel", "JOB…", "Cancel jobs", NULL, cmd_cancel, {NULL}, 0},
	{"power", "suspend|off|reboot", "Suspend the machine, turn it off or restart it, its VMs first", NULL, cmd_power,
		{job_options}, 0},
	{"reload", "", "Have the manager read the VM files again", NULL, cmd_reload, {NULL}, 0},
	{"help", "[COMMAND]", "Show help of a command", NULL, cmd_help, {NULL}, TRUE},
	{"complete", "[WORD…]", NULL, NULL, cmd_complete, {NULL}, TRUE}, /* for the shell */
	{NULL, NULL, NULL, NULL, NULL, {NULL}, 0},
};

const Command *command_find(const char *name)
{
	for (const Command *command = commands; command->name; command++)
		if (g_str_equal(command->name, name))
			return command;
	return NULL;
}

GOptionEntry *options_bind(const GOptionEntry *entries, Options *opt)
{
	guint count = 0;
	GOptionEntry *bound;

	while (entries[count].long_name)
		count++;
	bound = g_memdup2(entries, (count + 1) * sizeof(*entries));
	for (guint i = 0; i < count; i++)
		bound[i].arg_data = (char *)opt + GPOINTER_TO_SIZE(entries[i].arg_data);
	return bound;
}
