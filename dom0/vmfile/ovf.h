/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: what reading, writing and packing of OVF share. */
#ifndef CARREL_VMFILE_OVF_H
#define CARREL_VMFILE_OVF_H

#include "vmfile.h"

enum { OVF_MAX_TEXT = 4 << 20, OVF_MAX_FILES = 256 };

/* One plain part of a path, not hidden, that can be shown. */
gboolean ovf_file_name_fit(const char *name);
/* Text from a stranger as a VM file can have it: cut to max characters, what cannot be shown made blank; NULL: nothing left. */
char *ovf_clean_text(const char *text, glong max, gboolean lines);

extern const struct OvfFormat {
	const char *name, *uri, *part; /* part: what is in every URI that means it */
	ImageKind kind;
} ovf_formats[4];

#endif
