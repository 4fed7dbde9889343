// SPDX-License-Identifier: Apache-2.0
/* A seccomp filter in the kernel's own terms: a list of calls needs no library. What isn't on it fails with EPERM. */
#include "sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <gio/gio.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what)    BPF_STMT(BPF_RET | BPF_K, what)
#define IF_NOT(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define REFUSE          (SECCOMP_RET_ERRNO | EPERM)

static const struct sock_filter head[] = {
	LOAD(arch),
	IF_NOT(AUDIT_ARCH_X86_64, 2),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x32 */
	ANSWER(SECCOMP_RET_KILL_PROCESS),
};

static const int allowed[] = {
	/* The descriptors that are open: Wayland or PipeWire, xenstore, /dev/xen, stderr. */
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close, SYS_poll, SYS_ppoll, SYS_recvmsg, SYS_sendmsg, SYS_recvfrom,
	SYS_sendto, SYS_fcntl, SYS_lseek, SYS_fstat, SYS_getpeername, SYS_shutdown,
	/* Memory shared with whoever shows or plays it. */
	SYS_memfd_create, SYS_ftruncate,
	/* Memory. */
	SYS_munmap, SYS_mremap, SYS_brk, SYS_madvise,
	/* Threads, time, signals, the end. */
	SYS_futex, SYS_rseq, SYS_set_robust_list, SYS_clock_gettime, SYS_clock_nanosleep, SYS_gettimeofday, SYS_restart_syscall,
	SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_getpid, SYS_gettid, SYS_tgkill,
	SYS_sched_yield, SYS_getrandom, SYS_eventfd2, SYS_exit, SYS_exit_group,
};

/* Allowed unless they ask for memory that can be executed. */
static const int no_exec[] = {SYS_mmap, SYS_mprotect};

static const struct sock_filter tail[] = {
	/* ioctl: of gntdev 'G', evtchn 'E' and privcmd 'P' only. */
	IF_NOT(SYS_ioctl, 6),
	LOAD(args[1]),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'G' << 8, 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'E' << 8, 1, 0),
	IF_NOT('P' << 8, 1),
	ANSWER(SECCOMP_RET_ALLOW),
	ANSWER(REFUSE),
};

static void allow(GArray *filter, int call)
{
	const struct sock_filter rule[] = {IF_NOT((uint32_t)call, 1), ANSWER(SECCOMP_RET_ALLOW)};

	g_array_append_vals(filter, rule, G_N_ELEMENTS(rule));
}

static void allow_no_exec(GArray *filter, int call)
{
	const struct sock_filter rule[] = {
		IF_NOT((uint32_t)call, 4), LOAD(args[2]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), ANSWER(REFUSE),
		ANSWER(SECCOMP_RET_ALLOW),
	};

	g_array_append_vals(filter, rule, G_N_ELEMENTS(rule));
}

gboolean sandbox_enter(const int *more, GError **error)
{
	g_autoptr(GArray) filter = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
	struct sock_fprog program;

	/* xs_close() cancels its thread, for which glibc opens this by name, and aborts if it cannot. */
	if (!dlopen("libgcc_s.so.1", RTLD_NOW)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "the sandbox: %s", dlerror());
		return FALSE;
	}
	g_array_append_vals(filter, head, G_N_ELEMENTS(head));
	for (size_t i = 0; i < G_N_ELEMENTS(allowed); i++)
		allow(filter, allowed[i]);
	for (size_t i = 0; more && more[i] >= 0; i++)
		allow(filter, more[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(no_exec); i++)
		allow_no_exec(filter, no_exec[i]);
	g_array_append_vals(filter, tail, G_N_ELEMENTS(tail));
	program.len = (unsigned short)filter->len;
	program.filter = (struct sock_filter *)(void *)filter->data;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the sandbox: %s; does this kernel have seccomp?",
			    g_strerror(errno));
		return FALSE;
	}
	return TRUE;
}
