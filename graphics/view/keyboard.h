/* SPDX-License-Identifier: Apache-2.0 */
/* The PV keyboard, pointer and touch back end (xen/io/kbdif.h): one vkbd device. */
#ifndef VIEW_KEYBOARD_H
#define VIEW_KEYBOARD_H

#include "xenbus.h"

#define KEYBOARD_CONTACTS 10u

struct keyboard;

/* back_kind: "vinput" (libxl's backend-type=linux), or "vkbd", which is QEMU's when there is one. */
struct keyboard *keyboard_new(struct xen *, uint32_t domid, uint32_t devid, const char *token, const char *back_kind);
void keyboard_free(struct keyboard *, const char *token);
struct xenbus *keyboard_bus(struct keyboard *);
bool keyboard_event(struct keyboard *, uint32_t port);

/* Calls while there is no guest are lost. Keys and buttons are evdev codes. */
void keyboard_key(struct keyboard *, uint32_t code, bool pressed);
/* Lets go of every key, button and contact that the guest believes to be down. */
void keyboard_release_all(struct keyboard *);
/* The pointer's place as a share of the whole, 0..1; or how far it went, for a guest that has no absolute pointer. */
void keyboard_pointer(struct keyboard *, double x, double y);
void keyboard_pointer_by(struct keyboard *, double dx, double dy);
bool keyboard_wants_absolute(const struct keyboard *);
/* Wheel clicks, positive towards the person. */
void keyboard_wheel(struct keyboard *, int clicks);
/* contact: 0..KEYBOARD_CONTACTS-1; x, y as a share. */
void keyboard_touch_down(struct keyboard *, unsigned contact, double x, double y);
void keyboard_touch_move(struct keyboard *, unsigned contact, double x, double y);
void keyboard_touch_up(struct keyboard *, unsigned contact);
void keyboard_touch_frame(struct keyboard *);

#endif
