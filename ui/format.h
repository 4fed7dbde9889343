/* SPDX-License-Identifier: Apache-2.0 */
/* Text as a person sees it: sizes, times, names; and what strangers wrote made harmless. Every returned string is the
 * caller's. */
#ifndef CARREL_UI_FORMAT_H
#define CARREL_UI_FORMAT_H

#include <gdk/gdk.h>

#define NAME_MAX_LENGTH  48
#define TITLE_MAX_LENGTH 64

/* One line of at most max characters (then an ellipsis): no control or format characters, no runs of combining marks, no
 * text direction but its own. NULL is "". */
char *text_safe(const char *text, gsize max);
/* The same, isolated, to be put into a sentence. */
char *text_quote(const char *text, gsize max);
/* Several lines are kept, up to max characters in all. */
char *text_safe_lines(const char *text, gsize max);

char *format_bytes(guint64 bytes);                     /* 1.5 GiB */
char *format_duration(gint64 seconds);                 /* 2 h 5 min; under a minute: "just now" is for the caller */
char *format_clock(GDateTime *when);                   /* 14:05 */
char *format_date(GDateTime *when);                    /* Sunday, 22 November */
char *format_when(gint64 nanoseconds, GDateTime *now); /* today 14:05, 22 November 2026 14:05 */
/* Percent of all the vCPUs over a time; 0 to 100. */
guint cpu_percent(guint64 before_ns, guint64 now_ns, gint64 elapsed_us, guint vcpus);
/* What is to be shown of a reading that is never twice the same: percent in steps, staying at what is shown as long as that
 * comes close; bytes in steps. */
guint cpu_step(guint shown, guint percent);
guint64 memory_step(guint64 bytes);

/* "#rrggbb" and nothing else; otherwise a grey, and FALSE. */
gboolean colour_parse(const char *text, GdkRGBA *colour);
/* Whether dark text reads better on it than white. */
gboolean colour_is_light(const GdkRGBA *colour);

/* What is wrong with the name of a new VM as it stands, or NULL. taken: those there are. */
char *name_problem(const char *name, const char *const *taken);
/* A good name for a title: "Bank & tax" gives bank-tax; free among those taken. */
char *name_from_title(const char *title, const char *const *taken);

/* A VM's state for people, and whether it can be switched to. Static strings. */
const char *state_label(const char *state);
gboolean state_is_live(const char *state);
gboolean state_is_still(const char *state); /* live, but its guest does not run */
#endif
