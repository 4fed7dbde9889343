/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of disks: marks of what is half made, copies, removal. Any thread. */
#ifndef CARREL_FILES_H
#define CARREL_FILES_H

#include <gio/gio.h>

/* A VM that is being made or deleted has a file NAME.new beside its directory; it ends with the VM file there, or gone. */
char *files_mark(const char *state_dir, const char *name);
gboolean files_touch(const char *path, GError **error); /* synced, its directory too */
/* Removes a directory with all that is in it on the same file system, frozen images too; not being there is fine. */
gboolean files_remove_tree(const char *dir, GError **error);
gboolean files_copy(const char *from, const char *to, GCancellable *cancellable, GError **error);
guint64 files_free_space(const char *dir);
#endif
