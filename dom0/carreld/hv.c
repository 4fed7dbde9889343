/* SPDX-License-Identifier: Apache-2.0 */
#include "hv.h"

void hv_disk_free(gpointer data)
{
	HvDisk *disk = data;

	g_free(disk->name);
	g_free(disk->path);
	g_free(disk);
}

void hv_nic_free(gpointer data)
{
	HvNic *nic = data;

	g_free(nic->bridge);
	g_free(nic->vif);
	g_free(nic);
}

HvConfig *hv_config_new(void)
{
	HvConfig *config = g_new0(HvConfig, 1);

	config->disks = g_ptr_array_new_with_free_func(hv_disk_free);
	config->nics = g_ptr_array_new_with_free_func(hv_nic_free);
	return config;
}

void hv_config_free(HvConfig *config)
{
	if (!config)
		return;
	g_free(config->name);
	g_free(config->uuid);
	g_free(config->kernel);
	g_free(config->ramdisk);
	g_free(config->cmdline);
	g_free(config->qmp);
	g_ptr_array_unref(config->disks);
	g_ptr_array_unref(config->nics);
	g_free(config);
}
