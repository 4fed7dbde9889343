/* SPDX-License-Identifier: Apache-2.0 */
/* The seam to libxenlight: what the daemon needs of it and no more, in plain structs. hv_xl.c is the real one; the tests have
 * one whose domains are lines of a file. */
#ifndef CARREL_HV_H
#define CARREL_HV_H

#include <gio/gio.h>

typedef enum { HV_POWEROFF, HV_REBOOT, HV_SUSPEND, HV_CRASH } HvReason; /* why a domain stopped; also what to ask it for */

typedef struct {
	guint id;
	char uuid[37];
	char mark[37];      /* what hv_mark() left, else "" */
	gboolean paused, shutdown, dying;
	HvReason reason;    /* when shutdown */
	guint64 memory;     /* bytes it has now */
	guint64 cpu_ns;
	guint vcpus;
} HvDomain;

typedef struct {
	guint64 total, free;     /* bytes */
	guint64 dom0;            /* the service domain's */
	guint64 core;            /* what is in no domain: the core's own */
	guint64 dom0_available;  /* what the service domain could still use itself */
	guint cpus;
	guint64 idle_ns;
} HvMachine;

typedef enum { HV_DISK_QEMU_QCOW2, HV_DISK_KERNEL_RAW } HvBackend;

typedef struct {
	char *name; /* xvda */
	char *path;
	HvBackend backend;
	gboolean readonly, discard;
} HvDisk;

typedef struct {
	guint8 mac[6];
	char *bridge; /* NULL: a dead wire */
	char *vif;    /* the back end's name, NULL: as it comes */
} HvNic;

typedef struct {
	char *name, *uuid;
	char *kernel, *ramdisk, *cmdline; /* kernel NULL: the boot loader reads the first disk */
	guint vcpus, weight, cap;
	guint64 memory;   /* bytes at boot, which is also the most it can have until it boots again */
	GPtrArray *disks; /* HvDisk */
	GPtrArray *nics;  /* HvNic */
	char *qmp;        /* where the disks' QEMU is to listen, NULL: nowhere */
	guint screens;    /* with keyboard, pointer and touch */
	gboolean play, record; /* sound */
} HvConfig;

typedef struct {
	guint64 disk_read, disk_written, net_received, net_sent; /* bytes, as the guest sees them */
} HvCounters;

typedef struct Hv Hv;
/* Something happened to some domain (it stopped, came or went), or a guest's memory figures changed, or
 * it began or ceased to record, or its console is another: look. Main thread. */
typedef void (*HvChanged)(gpointer data);

/* Every call may be made from any thread, blocks, and may take long where it says so. */
typedef struct {
	gboolean (*list)(Hv *hv, GArray **domains, GError **error); /* HvDomain, the service domain not among them */
	gboolean (*machine)(Hv *hv, HvMachine *machine, GError **error);
	gboolean (*create)(Hv *hv, const HvConfig *config, guint *id, GError **error); /* long; paused when it returns */
	/* Makes screens, input and sound. wait: until their back ends have taken them up, ten seconds at most, then TIMEOUT; they are
	 * there all the same, and a back end may come at any time. Long; CANCELLED when stop is. */
	gboolean (*connect)(Hv *hv, guint id, const HvConfig *config, gboolean wait, GCancellable *stop, GError **error);
	gboolean (*mark)(Hv *hv, guint id, const char *uuid, GError **error); /* complete: a daemon that finds it keeps it */
	gboolean (*destroy)(Hv *hv, guint id, GError **error);                /* long; done when there is none of that id */
	gboolean (*pause)(Hv *hv, guint id, GError **error);
	gboolean (*unpause)(Hv *hv, guint id, GError **error);
	gboolean (*request)(Hv *hv, guint id, HvReason what, GError **error); /* long; that it was heard, not that it was done */
	gboolean (*resume)(Hv *hv, guint id, GError **error);                 /* of a domain that stopped with HV_SUSPEND */
	gboolean (*set_memory)(Hv *hv, guint id, guint64 bytes, GError **error);
	gboolean (*set_vcpus)(Hv *hv, guint id, guint vcpus, GError **error);
	gboolean (*set_shares)(Hv *hv, guint id, guint weight, guint cap, GError **error);
	char *(*console)(Hv *hv, guint id);                          /* its pseudo-terminal, NULL: none yet */
	gboolean (*recording)(Hv *hv, guint id);                     /* its guest is given what a microphone hears */
	/* What its sound may do from now on; a guest without sound is none the worse. */
	gboolean (*permit)(Hv *hv, guint id, gboolean play, gboolean record, GError **error);
	guint64 (*demand)(Hv *hv, guint id);                         /* bytes that it says it needs, 0: it doesn't say */
	gboolean (*counters)(Hv *hv, guint id, HvCounters *counters); /* since its start */
	void (*watch)(Hv *hv, HvChanged changed, gpointer data);     /* once, from the main thread */
	void (*watch_domain)(Hv *hv, guint id, gboolean on);         /* its demand, recording, console; main thread */
	void (*free)(Hv *hv);
} HvOps;

struct Hv {
	const HvOps *ops;
};

void hv_disk_free(gpointer disk);
void hv_nic_free(gpointer nic);
HvConfig *hv_config_new(void);
void hv_config_free(HvConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HvConfig, hv_config_free)

/* libxenlight 4.20; boot_loader: a PVH kernel that starts what it finds on the first disk. */
Hv *hv_xl_new(const char *boot_loader, const char *vif_script, GError **error);
#endif
