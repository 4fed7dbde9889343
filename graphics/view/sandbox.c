// SPDX-License-Identifier: Apache-2.0
/* A seccomp filter in the kernel's own terms: a list of calls needs no library. What isn't on it fails with EPERM. */
#include "sandbox.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what)    BPF_STMT(BPF_RET | BPF_K, what)
#define IF_NOT(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define ALLOW(call)     IF_NOT(SYS_##call, 1), ANSWER(SECCOMP_RET_ALLOW)
#define REFUSE          (SECCOMP_RET_ERRNO | EPERM)
/* Allowed unless it asks for memory that can be executed. */
#define ALLOW_NO_EXEC(call)                                                                                                    \
	IF_NOT(SYS_##call, 4), LOAD(args[2]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), ANSWER(REFUSE),           \
		ANSWER(SECCOMP_RET_ALLOW)

static const struct sock_filter filter[] = {
	LOAD(arch),
	IF_NOT(AUDIT_ARCH_X86_64, 2),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x32 */
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	/* The descriptors that are open: Wayland, xenstore, /dev/xen, stderr. */
	ALLOW(read), ALLOW(write), ALLOW(readv), ALLOW(writev), ALLOW(close), ALLOW(poll), ALLOW(ppoll), ALLOW(recvmsg),
	ALLOW(sendmsg), ALLOW(recvfrom), ALLOW(sendto), ALLOW(fcntl), ALLOW(lseek), ALLOW(fstat), ALLOW(getpeername),
	ALLOW(shutdown),
	/* Pictures. */
	ALLOW(memfd_create), ALLOW(ftruncate),
	/* Memory. */
	ALLOW_NO_EXEC(mmap), ALLOW_NO_EXEC(mprotect), ALLOW(munmap), ALLOW(mremap), ALLOW(brk), ALLOW(madvise),
	/* Threads, time, signals, the end. */
	ALLOW(futex), ALLOW(rseq), ALLOW(set_robust_list), ALLOW(clock_gettime), ALLOW(clock_nanosleep), ALLOW(gettimeofday),
	ALLOW(restart_syscall), ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), ALLOW(sigaltstack),
	ALLOW(getpid), ALLOW(gettid), ALLOW(tgkill), ALLOW(sched_yield), ALLOW(getrandom), ALLOW(eventfd2), ALLOW(exit),
	ALLOW(exit_group),
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

gboolean sandbox_enter(GError **error)
{
	struct sock_fprog program = {.len = G_N_ELEMENTS(filter), .filter = (struct sock_filter *)filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the sandbox: %s; does this kernel have seccomp?",
			    g_strerror(errno));
		return FALSE;
	}
	return TRUE;
}
