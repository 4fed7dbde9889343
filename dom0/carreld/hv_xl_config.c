/* SPDX-License-Identifier: Apache-2.0 */
#include <libxl_utils.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "hv_xl.h"

/* libxl frees its strings and arrays with free(). */
static char *own(const char *text)
{
	return text ? strdup(text) : NULL;
}

static gboolean readable(const char *vm, const char *path, const char *advice, GError **error)
{
	if (access(path, R_OK) == 0)
		return TRUE;
	g_set_error(error, CARREL_ERROR, CARREL_ERROR_NOT_FOUND, "VM %s cannot boot: %s: %s; %s", vm, path, g_strerror(errno), advice);
	return FALSE;
}

static gboolean set_boot(const HvConfig *config, const char *boot_loader, libxl_domain_build_info *build, GError **error)
{
	if (!config->kernel) {
		build->kernel = own(boot_loader);
		return readable(config->name, boot_loader, "install grub-xen-host, or name a kernel in [boot]", error);
	}
	build->kernel = own(config->kernel);
	build->ramdisk = own(config->ramdisk);
	build->cmdline = own(config->cmdline);
	return readable(config->name, config->kernel, "correct kernel= in [boot]", error) &&
		(!config->ramdisk || readable(config->name, config->ramdisk, "correct ramdisk= in [boot]", error));
}

static gboolean set_cpus(libxl_ctx *ctx, const HvConfig *config, libxl_domain_build_info *build, GError **error)
{
	build->max_vcpus = config->vcpus;
	if (libxl_cpu_bitmap_alloc(ctx, &build->avail_vcpus, config->vcpus)) {
		g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "VM %s: no memory for %u vCPUs", config->name, config->vcpus);
		return FALSE;
	}
	for (guint i = 0; i < config->vcpus; i++)
		libxl_bitmap_set(&build->avail_vcpus, i);
	build->sched_params.weight = config->weight;
	build->sched_params.cap = config->cap;
	return TRUE;
}

static void set_disks(const HvConfig *config, libxl_domain_config *domain)
{
	domain->disks = calloc(config->disks->len, sizeof(*domain->disks));
	for (guint i = 0; i < config->disks->len; i++) {
		const HvDisk *disk = config->disks->pdata[i];
		libxl_device_disk *to = &domain->disks[domain->num_disks++];

		libxl_device_disk_init(to);
		to->vdev = own(disk->name);
		to->pdev_path = own(disk->path);
		to->readwrite = !disk->readonly;
		if (disk->backend == HV_DISK_QEMU_QCOW2) {
			to->backend = LIBXL_DISK_BACKEND_QDISK;
			to->format = LIBXL_DISK_FORMAT_QCOW2;
		} else {
			to->backend = LIBXL_DISK_BACKEND_PHY; /* a file goes through a loop device, which libxl's script makes */
			to->format = LIBXL_DISK_FORMAT_RAW;
			/* No page cache of the service domain's between the guest and its disk. QEMU makes native AIO of it, which
			 * Debian's build for Xen lacks: its disk would not come up at all. */
			to->direct_io_safe = true;
		}
		libxl_defbool_set(&to->discard_enable, disk->discard && !disk->readonly);
	}
}

static void set_nics(const HvConfig *config, const char *script, libxl_domain_config *domain)
{
	domain->nics = calloc(config->nics->len, sizeof(*domain->nics));
	for (guint i = 0; i < config->nics->len; i++) {
		const HvNic *nic = config->nics->pdata[i];
		libxl_device_nic *to = &domain->nics[domain->num_nics++];

		libxl_device_nic_init(to);
		to->devid = i;
		to->nictype = LIBXL_NIC_TYPE_VIF;
		memcpy(to->mac, nic->mac, sizeof(to->mac));
		to->script = own(script);
		/* libxl replaces an absent bridge by its default one. */
		to->bridge = own(nic->bridge ? nic->bridge : "none");
		to->ifname = own(nic->vif);
	}
}

/* A monitor of our own beside libxl's two: they take one client at a time. */
static void set_monitor(const HvConfig *config, libxl_domain_build_info *build)
{
	g_autofree char *chardev = g_strdup_printf("socket,id=carrel,path=%s,server=on,wait=off", config->qmp);
	const char *const args[] = { "-chardev", chardev, "-mon", "chardev=carrel,mode=control" };

	build->extra = calloc(G_N_ELEMENTS(args) + 1, sizeof(char *));
	for (gsize i = 0; i < G_N_ELEMENTS(args); i++)
		build->extra[i] = own(args[i]);
}

gboolean hv_xl_config(libxl_ctx *ctx, const HvConfig *config, const char *boot_loader, const char *vif_script,
	libxl_domain_config *domain, GError **error)
{
	libxl_domain_create_info *create = &domain->c_info;
	libxl_domain_build_info *build = &domain->b_info;

	create->type = LIBXL_DOMAIN_TYPE_PVH;
	create->name = own(config->name);
	libxl_defbool_set(&create->run_hotplug_scripts, true);
	if (libxl_uuid_from_string(&create->uuid, config->uuid)) {
		g_set_error(error, CARREL_ERROR, CARREL_ERROR_INVALID, "VM %s: '%s' is not a UUID", config->name, config->uuid);
		return FALSE;
	}
	libxl_domain_build_info_init_type(build, LIBXL_DOMAIN_TYPE_PVH);
	/* Both the same: else it would be populated on demand, which the core does not do. */
	build->max_memkb = build->target_memkb = config->memory / 1024;
	build->tsc_mode = LIBXL_TSC_MODE_NATIVE;
	if (!set_boot(config, boot_loader, build, error) || !set_cpus(ctx, config, build, error))
		return FALSE;
	set_disks(config, domain);
	set_nics(config, vif_script, domain);
	if (config->qmp)
		set_monitor(config, build);
	return TRUE;
}
