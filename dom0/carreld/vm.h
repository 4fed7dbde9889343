/* SPDX-License-Identifier: Apache-2.0 */
/* A VM as an object on the bus, and what can be done to it. vm.c: the object; vm_methods.c: its D-Bus methods; run.c: start,
 * stop and what is between; unlock.c: encrypted volumes of VMs that are off; disks.c: snapshots and changes; make.c: new VMs,
 * and the end of old ones. */
#ifndef CARREL_VM_H
#define CARREL_VM_H

#include "job.h"

Vm *vm_ref(Vm *vm);
void vm_unref(gpointer vm);
char *vm_path(const char *name); /* /org/carrel/vm/… */
const char *vm_title(Vm *vm);    /* for people */

/* file NULL: broken, for the reason problem. Takes file. */
Vm *vm_new(Manager *manager, const char *name, VmFile *file, const char *problem);
void vm_publish(Vm *vm);
void vm_take_file(Vm *vm, VmFile *file); /* a new definition */
void vm_set_broken(Vm *vm, const char *problem);
void vm_set_state(Vm *vm, VmState state, const char *problem);
void vm_refresh(Vm *vm);           /* every property */
void vm_refresh_watched(Vm *vm);   /* those that its back ends change: Console, Recording */
void vm_refresh_disks(Vm *vm);
void vm_refresh_snapshots(Vm *vm);
void vm_set_unlocked(Vm *vm, gboolean unlocked);
void vm_set_target(Vm *vm, guint64 bytes);
void vm_attached(Vm *vm, guint domain); /* it has this domain from now on; 0: none any more */
const VmFile *vm_effective(Vm *vm);     /* as it runs, else as its file says */
char *vm_disk_path(const char *dir, const VmDisk *disk);
char *vm_qmp_path(Manager *manager, const char *name);
char *vm_volume(const char *name);      /* device-mapper's name of its encrypted volume */
gboolean vm_disks_locked(Vm *vm, GError **error); /* whether its disks are in a volume that is closed */

/* A job that changes the VM, when its state allows it and nothing else changes it. */
Job *vm_begin(Vm *vm, VmAction action, GError **error);
gboolean vm_allows(Vm *vm, VmAction action, GError **error);
void vm_job_ended(Vm *vm, Job *job);
void vm_methods_connect(Manager *manager, CarrelVm1 *api);

/* run.c. passphrase: wiped after use. */
Job *run_start(Vm *vm, const char *passphrase, gboolean paused, GError **error);
Job *run_shutdown(Vm *vm, guint timeout, GError **error);
Job *run_reboot(Vm *vm, guint timeout, GError **error);
Job *run_force_off(Vm *vm, GError **error);
Job *run_suspend(Vm *vm, GError **error);
Job *run_resume(Vm *vm, GError **error);
gboolean run_pause(Vm *vm, gboolean on, GError **error);
void run_stopped(Vm *vm, HvReason reason); /* its domain has stopped */
void run_vanished(Vm *vm);                 /* its domain is gone */
void run_force_off_now(Job *job);          /* the pending one */

/* unlock.c. passphrases: wiped after use. */
Job *unlock(Vm *vm, const char *passphrase, GError **error);
Job *lock(Vm *vm, GError **error);
Job *change_passphrase(Vm *vm, const char *passphrase, const char *fresh, GError **error);

/* disks.c */
Job *disks_snapshot(Vm *vm, const char *name, const char *description, GError **error);
Job *disks_revert(Vm *vm, const char *name, GError **error);
Job *disks_delete_snapshot(Vm *vm, const char *name, GError **error);
void disks_mark(Vm *vm, const char *disk, GDBusMethodInvocation *invocation);
/* Off: wins back what deletions of snapshots left behind, unless there is something better to do; whoever wants the VM goes first. */
void disks_tidy(Vm *vm);
void disks_tidy_stop(Vm *vm);          /* main thread: asks it to end */
void disks_tidy_wait(Vm *vm);          /* worker: until it has */
void disks_changed(Vm *vm, const char *disk, const char *mark, GDBusMethodInvocation *invocation);
GHashTable *disks_of_others(Manager *manager, const char *name); /* paths of the disk files of all VMs but that one */
gboolean disks_free_base(GHashTable *others, const char *dir, const char *what, GError **error); /* worker */

/* make.c */
Job *make_from_template(Manager *manager, const char *name, const char *from, GVariant *options, GError **error);
Job *make_clone(Vm *vm, const char *name, GVariant *options, GError **error);
Job *make_delete(Vm *vm, gboolean keep_disks, GError **error);
void make_recover(Manager *manager); /* removes half-made VMs */
/* transfer.c. fd: taken. */
Job *transfer_import(Manager *manager, const char *name, int fd, GVariant *options, GError **error);
Job *transfer_export(Vm *vm, int fd, const char *format, GError **error);
void wipe(char *secret); /* overwrites and frees */
#endif
