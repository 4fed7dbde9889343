// SPDX-License-Identifier: Apache-2.0
/* xen_version (xen/version.h). The numbers are those of the ABI that the core speaks. */
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"

#include <xen/version.h>

#define ABI_MAJOR 4
#define ABI_MINOR 20
static const char extraversion[] = ".0-carrel";
static const char changeset[] = "unavailable";
static const char capabilities[] = "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";

static int64_t version_version(struct vcpu *v, gva_t at)
{
	return ABI_MAJOR << 16 | ABI_MINOR;
}

/* The old forms: fixed-size fields. */
static int64_t give_field(gva_t at, const char *s, size_t size)
{
	char field[64] = { 0 };

	strscpy(field, s, MIN(size, sizeof(field)));
	return copy_to_guest(at, field, MIN(size, sizeof(field))) ||
	       (size > sizeof(field) && clear_guest(at + sizeof(field), size - sizeof(field))) ? -EFAULT : 0;
}

/* What only the service domain needs to know is empty for others. */
static const char *core_cmdline(struct vcpu *v)
{
	return v->domain->privileged ? boot_info.cmdline : "<denied>";
}

static int64_t version_commandline(struct vcpu *v, gva_t at)
{
	xen_commandline_t c = { 0 };

	strscpy(c, core_cmdline(v), sizeof(c));
	return copy_to_guest(at, c, sizeof(c));
}

/* The new forms: *at holds the size of the buffer behind it; the length is the result. */
static int64_t give_varbuf(gva_t at, const char *s)
{
	uint32_t room, n = (uint32_t)strlen(s);

	if (!at)
		return n;
	if (copy_from_guest(&room, at, sizeof(room)))
		return -EFAULT;
	if (!room)
		return -EINVAL;
	if (room < n)
		return -ENOBUFS;
	return copy_to_guest(at + offsetof(xen_varbuf_t, buf), s, n) ? -EFAULT : (int64_t)n;
}

/* Both forms of what everyone may know. */
#define DEFINE_TEXT(what, size)                                                                                        \
	static int64_t version_##what(struct vcpu *v, gva_t at)                                                        \
	{                                                                                                              \
		return give_field(at, what, size);                                                                     \
	}                                                                                                              \
	static int64_t version_##what##2(struct vcpu *v, gva_t at)                                                     \
	{                                                                                                              \
		return give_varbuf(at, what);                                                                          \
	}
DEFINE_TEXT(extraversion, XEN_EXTRAVERSION_LEN)
DEFINE_TEXT(capabilities, XEN_CAPABILITIES_INFO_LEN)
DEFINE_TEXT(changeset, XEN_CHANGESET_INFO_LEN)

static int64_t version_commandline2(struct vcpu *v, gva_t at)
{
	return give_varbuf(at, core_cmdline(v));
}

static int64_t version_compile_info(struct vcpu *v, gva_t at)
{
	static const struct xen_compile_info info = { .compiler = "C compiler " __VERSION__, .compile_by = "carrel" };

	return copy_to_guest(at, &info, sizeof(info));
}

static int64_t version_platform_parameters(struct vcpu *v, gva_t at)
{
	struct xen_platform_parameters p = { 0 };

	return copy_to_guest(at, &p, sizeof(p));
}

static int64_t version_get_features(struct vcpu *v, gva_t at)
{
	struct xen_feature_info f;

	if (copy_from_guest(&f, at, sizeof(f)))
		return -EFAULT;
	if (f.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -EINVAL;
	f.submap = 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
		   1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock |
		   1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_not_direct_mapped;
	if (v->domain->is_dom0)
		f.submap |= 1u << XENFEAT_dom0;
	return copy_to_guest(at, &f, sizeof(f));
}

static int64_t version_pagesize(struct vcpu *v, gva_t at)
{
	return at ? -EINVAL : (int64_t)PAGE_SIZE;
}

static int64_t version_guest_handle(struct vcpu *v, gva_t at)
{
	return copy_to_guest(at, v->domain->handle, sizeof(v->domain->handle));
}

int64_t hypercall_xen_version(struct vcpu *v, uint64_t *arg)
{
	switch (arg[0]) {
#define OP(name)   case XENVER_##name: return version_##name(v, arg[1]);
#define CASE(name) case XENVER_##name:
#include "version_ops.def"
	default:
		return -ENOSYS;
	}
}
