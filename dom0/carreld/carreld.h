/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's own structures. Everything here belongs to the main thread unless it says otherwise; workers get copies. */
#ifndef CARREL_CARRELD_H
#define CARREL_CARRELD_H

#include <gio/gio.h>

#include "auth.h"
#include "carrel-api.h"
#include "error.h"
#include "hv.h"
#include "machine.h"
#include "net/net.h"
#include "share.h"
#include "state.h"
#include "vmfile/vmfile.h"

typedef struct Manager Manager;
typedef struct Vm Vm;
typedef struct Job Job;

/* What the network made of one interface. */
typedef struct {
	char *name, *vif, *address;
} Wire;

struct Vm {
	Manager *manager;
	char *name, *path, *dir; /* dir: of its disks */
	VmFile *file;            /* NULL: broken */
	VmFile *running;         /* as it was started, NULL: off */
	VmState state;
	char *problem;
	guint domain;            /* 0: none */
	guint coming;            /* the domain that a start is making, once others may know of it; 0: none */
	guint64 boot_memory, memory_target, memory_now, demand, started;
	double moved;            /* when memory_target moved */
	gint64 crashes[4];       /* the last ones, µs, monotonic */
	gboolean unlocked;       /* off, and its encrypted volume is open (unlock.c) */
	gboolean wired;          /* its interfaces are in the network's plan */
	GPtrArray *wires;        /* Wire, while it runs */
	Share share;             /* that it has, or is being given; weight 0: that and its cap are to be set */
	gboolean sharing;        /* a worker gives its disks a share */
	gboolean unsure;         /* its disks and its network may have another one: it was found running, or that failed */
	Job *job;                /* what changes it now; one at a time */
	Job *pending;            /* a ForceOff that waits for job to end */
	HvReason awaited;        /* what job waits for the guest to do */
	gboolean awaiting;
	gboolean half_asleep;    /* paused while it was to suspend: it may do so when it goes on, and is to be woken then */
	guint await_timer;
	guint readers;           /* workers that look into its disks */
	GCancellable *tidying;   /* what deletions of snapshots left behind is being merged, NULL: no */
	GPtrArray *snapshots;    /* DiskSnapshot */
	CarrelVm1 *api;
	CarrelObjectSkeleton *object;
};

struct Manager {
	char *config_dir, *state_dir, *run_dir;
	Hv *hv;
	Auth *auth;
	Machine *machine;
	ShareMachine capacity;
	char *groups;           /* disk_groups(), or NULL */
	GDBusConnection *bus;
	GDBusObjectManagerServer *objects;
	CarrelManager1 *api;
	CarrelObjectSkeleton *object;
	GHashTable *vms;  /* name → Vm */
	GHashTable *jobs; /* path → Job */
	GHashTable *claims; /* names that a job is making a VM for */
	guint next_job, busy, workers; /* jobs that have not ended, and those of them that have a worker under way */
	char *foreground;       /* a VM's name, or NULL */
	guint desk_watch;
	gboolean desk;          /* the desk runs */
	guint scan_source, balance_source, share_source;
	guint balance_again, share_again; /* how often it has been asked again for nothing */
	guint64 reserved;       /* bytes that a VM which starts was promised and does not have yet */
	struct Power *power;
	GPtrArray *autostart;   /* names still to be started, in order */
	GMutex start_lock;      /* workers: one VM at a time between 'is there memory' and 'it has it' */
	GMutex network_lock;    /* workers: one change of the network at a time; guards plan */
	NetPlan *plan;
	GPtrArray *plan_ports;  /* "VM/interface", in the plan's order */
	char *resolver;         /* carreld.conf: where the VMs' names come from, NULL: where ours do */
	GStrv private_domains;  /* carreld.conf: the company's own */
	struct {
		int fd;                 /* its process, while there is a watch */
		guint watch, timer;     /* of its end; of its next start */
		gint64 since;           /* µs, monotonic: it was seen to run */
		guint failures;         /* starts in a row that did not last */
	} dnsmasq;
};

/* manager.c */
gboolean manager_start(Manager *manager, GError **error);
void manager_stop(Manager *manager);
Vm *manager_vm(Manager *manager, const char *name);
Vm *manager_vm_at(Manager *manager, const char *path);
void manager_notice(Manager *manager, const char *severity, Vm *vm, const char *format, ...) G_GNUC_PRINTF(4, 5);
char *manager_vm_file(Manager *manager, const char *name);  /* path of its VM file */
char *manager_vault_file(Manager *manager, const char *name);
gboolean manager_name_free(Manager *manager, const char *name, GError **error);
gboolean manager_check_file(Manager *manager, const char *name, const VmFile *file, GError **error); /* among the others */
Vm *manager_add(Manager *manager, const char *name, VmFile *file);
void manager_remove(Manager *manager, Vm *vm);
void manager_networks_changed(Manager *manager);
void manager_set_foreground(Manager *manager, Vm *vm);
GList *manager_running(Manager *manager); /* Vm with a domain, in start order; free the list only */

/* recover.c: what a daemon that died left */
gboolean recover(Manager *manager, GError **error);

/* scan.c: what the domains did */
void scan_soon(gpointer manager);
void scan_now(Manager *manager);

/* memory.c */
void memory_changed(Manager *manager); /* something that the balance depends on did */
/* Worker: takes memory from others for a VM that starts, waits until it is there. */
gboolean memory_reserve(Job *job, const char *name, guint64 min, guint64 max, guint vcpus, guint64 *memory, GError **error);
void memory_release(Manager *manager); /* worker: what was reserved is in use now, or not needed */
gboolean memory_statistics(Manager *manager, GVariantDict *dict, GError **error);

/* sound.c. Started anew for a new domain; else only if nothing serves it. */
void sound_start(Manager *manager, const char *vm, guint domain, gboolean anew);
void sound_stop(Manager *manager, const char *vm);

/* disks.c: what nobody asked for need not be waited for. */
void disks_tidy_stop_all(Manager *manager);

/* shares.c */
void shares_changed(Manager *manager);

/* power.c */
Job *power_suspend(Manager *manager, GError **error);
Job *power_shutdown(Manager *manager, const char *what, GError **error);
void power_job_ended(Manager *manager); /* some VM's job did */
gboolean power_busy(Manager *manager);
void power_autostart(Manager *manager);

void power_init(Manager *manager);
void power_clear(Manager *manager);

/* daemon.c */
typedef struct {
	Hv *(*hv)(GError **error);
	Auth *(*auth)(GDBusConnection *bus, GError **error);
	Machine *(*machine)(GDBusConnection *bus, GError **error);
} Seams;
int carreld_main(int argc, char **argv, const Seams *seams);
#endif
