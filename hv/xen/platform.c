// SPDX-License-Identifier: Apache-2.0
/* platform_op (xen/platform.h): the machine as the service domain's kernel may ask about it. */
#include "boot.h"
#include "cpu.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "time.h"

#include <xen/platform.h>

static int64_t settime(uint64_t secs, uint32_t nsecs, uint64_t system_time)
{
	if (nsecs >= 1000000000)
		return -EINVAL;
	wallclock_set(secs, nsecs, system_time);
	list_for_each(l, &domains)
		pvclock_update_wallclock(list_entry(l, struct domain, link));
	return 0;
}

static int64_t platform_settime64(struct xen_platform_op *op)
{
	return op->u.settime64.mbz ? -EINVAL :
	       settime(op->u.settime64.secs, op->u.settime64.nsecs, op->u.settime64.system_time);
}

static int64_t platform_settime32(struct xen_platform_op *op)
{
	return settime(op->u.settime32.secs, op->u.settime32.nsecs, op->u.settime32.system_time);
}

/* Returns the size of what was filled in. */
static int64_t platform_get_dom0_console(struct xen_platform_op *op)
{
	const struct boot_fb *fb = &boot_info.fb;
	xenpf_dom0_console_t *c = &op->u.dom0_console;

	if (!fb->base)
		return -ENODEV;
	memset(c, 0, sizeof(*c));
	if (fb->text) {
		c->video_type = XEN_VGATYPE_TEXT_MODE_3;
		c->u.text_mode_3.font_height = 16;
		c->u.text_mode_3.rows = (uint16_t)fb->height;
		c->u.text_mode_3.columns = (uint16_t)fb->width;
		return sizeof(*c);
	}
	c->video_type = boot_info.efi ? XEN_VGATYPE_EFI_LFB : XEN_VGATYPE_VESA_LFB;
	c->u.vesa_lfb.width = (uint16_t)fb->width;
	c->u.vesa_lfb.height = (uint16_t)fb->height;
	c->u.vesa_lfb.bytes_per_line = (uint16_t)fb->pitch;
	c->u.vesa_lfb.bits_per_pixel = fb->bpp;
	c->u.vesa_lfb.lfb_base = (uint32_t)fb->base;
	c->u.vesa_lfb.ext_lfb_base = (uint32_t)(fb->base >> 32);
	c->u.vesa_lfb.lfb_size = (uint32_t)DIV_ROUND_UP((uint64_t)fb->pitch * fb->height, 64 * KiB);
	c->u.vesa_lfb.red_pos = fb->red_pos;
	c->u.vesa_lfb.red_size = fb->red_size;
	c->u.vesa_lfb.green_pos = fb->green_pos;
	c->u.vesa_lfb.green_size = fb->green_size;
	c->u.vesa_lfb.blue_pos = fb->blue_pos;
	c->u.vesa_lfb.blue_size = fb->blue_size;
	if (fb->bpp == 32) {
		c->u.vesa_lfb.rsvd_pos = 24;
		c->u.vesa_lfb.rsvd_size = 8;
	}
	return sizeof(*c);
}

static int64_t platform_get_cpuinfo(struct xen_platform_op *op)
{
	xenpf_pcpuinfo_t *i = &op->u.pcpu_info;
	struct cpu *c = i->xen_cpuid < nr_cpus ? cpus[i->xen_cpuid] : NULL;

	i->max_present = nr_cpus - 1;
	i->flags = c ? XEN_PCPU_FLAGS_ONLINE : XEN_PCPU_FLAGS_INVALID;
	i->apic_id = c ? c->apic_id : 0;
	i->acpi_id = i->xen_cpuid;
	return 0;
}

int64_t hypercall_platform_op(struct vcpu *v, uint64_t *arg)
{
	struct xen_platform_op op;
	int64_t rc = -ENOSYS;

	if (!v->domain->is_dom0)
		return -EPERM;
	if (copy_from_guest(&op, arg[0], sizeof(op)))
		return -EFAULT;
	if (op.interface_version != XENPF_INTERFACE_VERSION)
		return -EACCES;
	switch (op.cmd) {
#define OP(name)   case XENPF_##name: rc = platform_##name(&op); break;
#define CASE(name) case XENPF_##name:
#include "platform_ops.def"
	}
	return rc >= 0 && copy_to_guest(arg[0], &op, sizeof(op)) ? -EFAULT : rc;
}
