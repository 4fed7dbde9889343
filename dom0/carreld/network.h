/* SPDX-License-Identifier: Apache-2.0 */
/* The network of all VMs that run, kept in step with them through net/. Workers only, but for network_recover(). */
#ifndef CARREL_NETWORK_H
#define CARREL_NETWORK_H

#include "job.h"

/* Makes the network what the VMs that are wired need now: bridges, rules, addresses, limits. */
gboolean network_apply(Manager *manager, GError **error);
gboolean network_wire(Manager *manager, const char *vm, gboolean on, GError **error); /* changes who is wired, then applies */
/* What a wired VM's interfaces became: for libxl, and for the bus. */
void network_fill(Manager *manager, const char *vm, const VmFile *file, HvConfig *config, GPtrArray *wires);
gboolean network_up(Manager *manager, const char *vm, const VmFile *file, GError **error); /* its vifs are there */
gboolean network_recover(Manager *manager, GError **error); /* main thread, before anything else runs */
void network_stop(Manager *manager);                        /* main thread: lets go of dnsmasq, which runs on */
#endif
