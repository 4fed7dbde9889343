/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share and the tests reach into. */
#ifndef CARREL_DISK_INTERNAL_H
#define CARREL_DISK_INTERNAL_H

#include "disk.h"
#include <json-glib/json-glib.h>

/* file.c */
int file_lock_dir(const char *dir, GError **error); /* file descriptor; BUSY when another operation holds it */
gboolean file_sync(const char *path, GError **error); /* a file or a directory */
gboolean file_sync_parent(const char *path, GError **error);
gboolean file_rename(const char *from, const char *to, gboolean replace, GError **error);
gboolean file_link(const char *from, const char *to, GError **error);
gboolean file_remove(const char *path, GError **error); /* not being there is fine */
gboolean file_same(const char *a, const char *b);       /* both are there and are one inode */
gboolean file_save_keys(GKeyFile *keys, const char *path, GError **error); /* durable */
void file_freeze(const char *path, gboolean frozen); /* read-only, and immutable where that can be had */
gboolean file_error(GError **error, const char *path, const char *what, int errsv); /* always FALSE */

/* Called before each step that a power cut may separate from the next; the tests die in it. */
extern void (*disk_step_hook)(const char *step);
void disk_step(const char *step);

/* tool.c: qemu-img and its like, under resource limits, dying with the calling thread. */
typedef struct {
	DiskProgress progress;
	gpointer data;
	GCancellable *cancellable;
} DiskJob;
typedef gboolean (*ToolLine)(const char *line, gpointer data, GError **error);
/* Runs argv to its end. subject: what an error names. Each line of its output goes to line (may be NULL), progress as
 * "(12.34/100%)" to the job. Without a job it has two minutes. */
gboolean tool_run(const char *subject, const char *const *argv, const DiskJob *job, ToolLine line, gpointer data, GError **error);
/* A file as qemu-img's "json:" pseudo-name: nothing in its name or its header makes it open anything else. */
char *tool_name(const char *format, const char *path, gboolean backing);
void tool_limits(gpointer parent); /* child setup; GINT_TO_POINTER(getpid()) of the caller */

/* json.c: members of what others wrote; the default when missing or of another type. */
const char *js_string(JsonObject *object, const char *member);
gint64 js_int(JsonObject *object, const char *member);
gboolean js_bool(JsonObject *object, const char *member);
JsonObject *js_object(JsonObject *object, const char *member);
JsonArray *js_array(JsonObject *object, const char *member);
JsonObject *js_item(JsonArray *array, guint i); /* NULL when it isn't an object */
JsonNode *js_parse(const char *text, gssize length, GError **error); /* an object or an array */

/* header.c: a file's first sector, before any other program sees it. */
typedef struct {
	gboolean qcow2;
	guint64 size; /* as the guest sees it; a raw file's length */
	char *backing;
	gboolean dirty, corrupt, external_data, encrypted;
} DiskHeader;
gboolean header_read(const char *path, DiskHeader *header, GError **error);
gboolean header_parse(const guint8 *bytes, gsize length, DiskHeader *header, const char **problem);
void header_clear(DiskHeader *header);
gboolean header_check_stranger(const char *path, const char *format, GError **error);

/* image.c */
gboolean image_new_overlay(const char *path, const char *backing, const char *backing_format, guint64 size, GError **error);

/* qmp.c: a short conversation with a QEMU that may lie, stall or go. A transport error is G_IO_ERROR; what QEMU refuses is
 * DISK_ERROR_IO. */
typedef struct Qmp Qmp;
extern guint qmp_limit_ms; /* for a connection and for each answer */
Qmp *qmp_open(const char *path, GError **error);
void qmp_close(Qmp *qmp);
pid_t qmp_pid(Qmp *qmp, GError **error); /* who listens: the QEMU itself, which made the socket; -1: not to be had */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_close)
/* arguments: a GVariant text of type a{sv} with printf-like %s, or NULL. Returns what "return" holds. */
JsonNode *qmp_call(Qmp *qmp, GError **error, const char *command, const char *arguments, ...);
gboolean qmp_do(Qmp *qmp, GError **error, const char *command, const char *arguments, ...);

typedef struct {
	char *name;
	guint64 granularity;
	gboolean usable; /* QEMU closed it properly */
} DiskBitmap;
void bitmap_free(DiskBitmap *bitmap);
DiskBitmap *bitmap_find(GPtrArray *bitmaps, const char *name);

typedef struct {
	char *name, *driver;
	char *path; /* of the file below it */
	gboolean readonly, direct;
	char *file, *backing; /* nodes */
	gboolean attached;    /* a device or an export uses it */
	GPtrArray *bitmaps;   /* DiskBitmap */
} QmpNode;
GPtrArray *qmp_nodes(Qmp *qmp, GError **error); /* QmpNode */
GPtrArray *nodes_read(JsonNode *list, JsonNode *graph);  /* from the two answers it takes */
QmpNode *qmp_node(GPtrArray *nodes, const char *name);
QmpNode *qmp_image(GPtrArray *nodes, const char *path); /* the format node on that file */
/* Lets the image at path from be known as to, which is the same file. id: of the new file node. Nothing is done when no image
 * is known as from. */
gboolean qmp_retarget(Qmp *qmp, const char *from, const char *to, const char *id, GError **error);
void qmp_drop(Qmp *qmp, const char *node); /* when it is there and nobody's */

/* set.c: a VM's directory, locked */
#define LIST_FILE "snapshots.ini"
#define JOURNAL_FILE "snapshots.journal"
typedef struct {
	char *dir;
	GPtrArray *disks; /* names in dir */
	int lock;
	GKeyFile *list;
} DiskSet;
DiskSet *set_open(const char *dir, const char *const *disks, GError **error);
void set_close(DiskSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskSet, set_close)
char *set_path(DiskSet *set, const char *disk);
char *set_layer(DiskSet *set, const char *disk, guint64 id); /* DISK.ID.snap, whole path */
char *set_new(DiskSet *set, const char *disk);               /* DISK.new, whole path */
char *set_find(DiskSet *set, const char *name, GError **error); /* group of that snapshot */
gboolean set_save(DiskSet *set, GError **error);
guint64 set_next_id(DiskSet *set);
GKeyFile *journal_read(DiskSet *set, GError **error); /* NULL without error: none */
gboolean journal_write(DiskSet *set, GKeyFile *journal, GError **error);
gboolean journal_remove(DiskSet *set, GError **error);

/* snapshot.c */
gboolean snapshot_take(DiskSet *set, const char *qmp, const char *name, const char *description, GError **error);
/* Ends what the journal tells of, one way or the other. */
gboolean snapshot_settle(DiskSet *set, const char *qmp, GError **error);
gboolean merge_settle(DiskSet *set, GKeyFile *journal, const char *qmp, GError **error);

/* merge.c: layers no listed snapshot names are removed, or merged with the one layer above them. */
gboolean merge_layers(DiskSet *set, const char *qmp, gboolean merge, const DiskJob *job, GError **error);

/* mark.c: an overlay goes on with its base's marks, under the mark's name and a '+'. */
GPtrArray *mark_list(const char *path, GError **error); /* DiskBitmap of an image at rest */
gboolean mark_carry(const char *overlay, GPtrArray *bitmaps, GError **error);
gboolean mark_merge(const char *from, const char *into, GError **error); /* at rest, before from goes */
char *mark_base_name(const char *bitmap);
void extents_add(GArray *extents, guint64 offset, guint64 length);
void extents_normalise(GArray *extents);

/* vault.c */
struct crypt_pbkdf_type;
extern const struct crypt_pbkdf_type *vault_pbkdf; /* what new key slots cost; tests have no second to spare */
gboolean vault_format(const char *file, guint64 size, const char *passphrase, GError **error);
gboolean vault_check(const char *file, const char *passphrase, GError **error);
#endif
