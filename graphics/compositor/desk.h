/* SPDX-License-Identifier: Apache-2.0 */
/* The desk: everything that the compositor is made of. One file a concern; a struct owns its listeners, and every listener
 * is removed where it was added. All of it runs in the main thread. */
#ifndef CARREL_DESK_H
#define CARREL_DESK_H

#include <cairo.h>
#include <gio/gio.h>
#include <wayland-server-core.h>
#include <wlr/backend.h>
#include <wlr/render/allocator.h>
#include <wlr/render/wlr_renderer.h>
#include <wlr/types/wlr_compositor.h>
#include <wlr/types/wlr_cursor.h>
#include <wlr/types/wlr_keyboard_group.h>
#include <wlr/types/wlr_layer_shell_v1.h>
#include <wlr/types/wlr_output.h>
#include <wlr/types/wlr_output_layout.h>
#include <wlr/types/wlr_relative_pointer_v1.h>
#include <wlr/types/wlr_scene.h>
#include <wlr/types/wlr_seat.h>
#include <wlr/types/wlr_xcursor_manager.h>
#include <wlr/types/wlr_xdg_shell.h>

#include "config.h"
#include "keys.h"

typedef struct Desk Desk;

/* Bottom to top. Clients' surfaces never leave their tree, so nothing of theirs is above TREE_FRAMES but the lock screen. */
typedef enum {
	TREE_BACKDROP,
	TREE_SWITCHER,
	TREE_VIEWS,
	TREE_MESSAGES, /* "not responding" and the like */
	TREE_NOTICES,
	TREE_FRAMES,
	TREE_LOCK,
	TREE_COUNT,
} Tree;

typedef enum { VIEW_NONE, VIEW_STARTING, VIEW_LIVE, VIEW_HUNG, VIEW_FAILED } ViewState;

/* A VM that the manager told of, and the client that shows it. */
typedef struct {
	Desk *desk;
	char *name, *title;
	float colour[4];
	gboolean running; /* there is a domain, so there is to be a view */
	gboolean recording; /* its guest hears the microphone */
	gboolean blank;     /* its view says that the guest shows no picture */
	gboolean pictured;  /* it has shown one since its start */
	int domain;
	char *state; /* the manager's word for it */

	ViewState view;
	struct wl_client *client; /* NULL: no view is connected */
	struct wl_listener client_destroy;
	struct wl_event_source *listening; /* on the VM's socket */
	int socket;
	char *socket_path;
	GSubprocess *process; /* with [views] command= */
	GCancellable *cancel; /* of calls to systemd about it */
	gboolean unit_started;
	guint retry_source, retry_delay;
	gint64 live_since; /* g_get_monotonic_time() */
	gint64 asked;      /* when the view was last pinged */
	guint64 picture;   /* number of what its surfaces show now, 0: nothing was drawn yet; see thumbnail.c */

	GPtrArray *screens;             /* Screen, in order of their making */
	struct wlr_scene_tree *tree;    /* in TREE_VIEWS; enabled while the VM is shown */
	struct wlr_scene_buffer *frozen; /* the last frame of a view that ended */
	struct wl_resource *extras;     /* carrel_view_v1 */
	bool clipboard;                 /* it hands over and takes text */
} Vm;

/* One toplevel of a VM's view: its screen on one output. */
typedef struct {
	Vm *vm;
	struct wlr_xdg_toplevel *toplevel;
	struct wlr_scene_tree *tree; /* at the output's corner; clipped to it */
	struct wlr_scene_tree *surface_tree;
	struct wlr_output *output; /* NULL: none is free */
	int width, height;         /* of the surface when it was last placed */
	struct {
		int width, height;
		gboolean shown, sent;
	} configured; /* what the view was told */
	struct wl_listener commit, map, unmap, destroy, request_fullscreen, request_maximize, ping_timeout;
} Screen;

/* A piece of text in the scene. */
typedef struct {
	struct wlr_scene_buffer *node;
	char *made_of; /* what it shows: drawn again when that changes */
} Text;

typedef struct {
	Desk *desk;
	struct wl_list link; /* Desk.outputs */
	struct wlr_output *wlr;
	struct wlr_scene_output *scene;
	struct wlr_box box; /* in the layout */
	struct wlr_scene_rect *backdrop, *lock_backdrop, *dim, *edges[4];
	Text label, message;
	struct wl_listener frame, request_state, destroy;
} Output;

/* A layer surface of the switcher, the lock screen or a notice. */
typedef struct {
	Desk *desk;
	struct wl_list link; /* Desk.layers, the newest first */
	struct wlr_layer_surface_v1 *surface;
	struct wlr_scene_layer_surface_v1 *scene;
	Tree tree;
	struct wl_listener commit, map, unmap, destroy, new_popup;
} Layer;

typedef struct {
	const char *config_path, *runtime_dir;
	gboolean headless; /* no devices; outputs and keys come from whoever made the desk */
} DeskOptions;

typedef struct Bus Bus;
typedef struct Manager Manager;
typedef struct Clip Clip;

struct Desk {
	DeskOptions options;
	Config *config;
	GMainLoop *main;
	GSource *wayland;
	struct wl_display *display;
	struct wl_event_loop *loop;
	struct wlr_backend *backend;
	struct wlr_session *session;
	struct wlr_renderer *renderer;
	struct wlr_allocator *allocator;
	struct wlr_compositor *compositor;

	struct wlr_scene *scene;
	struct wlr_scene_tree *trees[TREE_COUNT];
	struct wlr_output_layout *layout;
	struct wlr_scene_output_layout *scene_layout;
	struct wl_list outputs; /* Output.link */
	struct wl_list layers;  /* Layer.link */

	GPtrArray *vms; /* Vm, in the order of their hotkeys */
	Vm *shown;      /* NULL: the switcher */
	guint64 pictures; /* the last number that a picture of a VM got */
	gboolean locked;
	guint label_source; /* runs while labels are shown */
	guint splash_source; /* runs while the switcher is waited for */
	gboolean labels;
	struct wl_protocol_logger *watcher; /* while a view is hung */
	guint update_source;

	struct wlr_seat *seat;
	struct wlr_cursor *cursor;
	struct wlr_xcursor_manager *cursors;
	struct wlr_relative_pointer_manager_v1 *relative;
	struct wlr_keyboard_group *keyboards;
	struct xkb_state *client_keys; /* what the focused client may know of */
	struct wlr_keyboard_modifiers client_mods;
	KeyTable hotkeys;
	KeySet forwarded;
	guint32 buttons[16];
	guint button_count;
	guint pointers, touches;
	double grab_x, grab_y; /* origin of the focused surface while a button is down */

	struct wlr_xdg_shell *xdg_shell;
	struct wlr_layer_shell_v1 *layer_shell;
	struct wl_event_source *shell_listening;
	int shell_socket;

	struct wl_listener new_output, layout_change, new_surface, new_toplevel, new_popup, new_layer, renderer_lost;
	struct wl_listener new_input, key, modifiers, keys_left;
	struct wl_listener motion, motion_absolute, button, axis, pointer_frame;
	struct wl_listener touch_down, touch_up, touch_motion, touch_cancel, touch_frame;
	struct wl_listener request_cursor, request_selection, pointer_focus;

	Bus *bus;
	Manager *manager;
	Clip *clip;
};

/* desk.c */
Desk *desk_new(const DeskOptions *options, GError **error);
gboolean desk_start(Desk *desk, GError **error);
void desk_free(Desk *desk);
void desk_show(Desk *desk, Vm *vm); /* NULL: the switcher; nothing while locked */
void desk_set_locked(Desk *desk, gboolean locked);
void desk_act(Desk *desk, Action action);
void desk_update(Desk *desk);       /* what is enabled, placed and focused follows from the state */
void desk_update_later(Desk *desk); /* the same, from a place where surfaces may not be touched */
void desk_notice(Desk *desk, const char *severity, Vm *vm, const char *text); /* told on D-Bus, and in the journal */
Vm *desk_find_vm(Desk *desk, const char *name);

/* loop.c: wlroots' event loop as a source of GLib's. */
GSource *wayland_source_new(struct wl_display *display);

/* output.c */
void outputs_init(Desk *desk);
void outputs_finish(Desk *desk);
Output *output_of(struct wlr_output *wlr);
gboolean desk_make_renderer(Desk *desk, GError **error);

/* frame.c: names, edges, messages */
void frame_add(Output *output);
void frame_update(Output *output);
void frame_remove(Output *output);
void frame_show_labels(Desk *desk); /* for a while */
void frame_show_splash(Desk *desk); /* until there is a switcher, or it takes too long */

/* text.c. fg and bg: colours, bg with its alpha; width: where lines break, 0: nowhere. */
typedef struct {
	const char *font;
	double scale;
	float fg[4], bg[4];
	int padding, width, radius;
	gboolean heading; /* the first line is one */
	gboolean tab;     /* hangs from the top: no round corners there */
} TextStyle;
void text_set(Text *text, const TextStyle *style, const char *string);
gboolean text_is(const Text *text, const char *made_of); /* whether that is what it shows */
/* Shows a drawing; takes it and what tells it from others over. */
void text_take(Text *text, cairo_surface_t *surface, int width, int height, char *made_of);
void text_clear(Text *text);

/* splash.c: mark, name, and how far the start has come; drawn again only when that is another */
#define SPLASH_STEPS 4 /* the last is the switcher, which takes its place */
void splash_set(Text *text, double scale, guint steps);

/* client.c: which client is whose, and what it may see */
typedef enum { ROLE_NOBODY, ROLE_VM, ROLE_SHELL } Role;
void clients_init(Desk *desk);
struct wl_client *client_new(Desk *desk, int fd, Role role, Vm *vm); /* takes fd over */
Role client_role(struct wl_client *client, Vm **vm);

/* vm.c: VMs and the starting of their views */
Vm *vm_new(Desk *desk, const char *name);
void vm_set(Vm *vm, const char *title, const char *colour, const char *state, int domain, gboolean running);
void vm_set_blank(Vm *vm, gboolean blank); /* its guest shows no picture */
void vm_set_recording(Vm *vm, gboolean recording); /* its guest hears the microphone */
void vm_free(Vm *vm);
void vm_restart_view(Vm *vm);
void vm_connected(Vm *vm, int fd);
void vm_set_view(Vm *vm, ViewState state);
const char *view_state_name(ViewState state);

/* launch.c */
gboolean launch_listen(Vm *vm, GError **error);
void launch_unlisten(Vm *vm);
void launch_start(Vm *vm); /* asynchronous; the view comes in by the VM's socket or a socket pair */
void launch_stop(Vm *vm);
gboolean launch_listen_shell(Desk *desk, GError **error);
void launch_unlisten_shell(Desk *desk);

/* screen.c: toplevels of views */
void screens_init(Desk *desk);
void screens_finish(Desk *desk);
void screens_arrange(Vm *vm); /* which screen is on which output, and how large */
struct wlr_surface *vm_surface(Vm *vm); /* of its first screen on an output, or NULL */
void vm_ask(Vm *vm); /* whether the view still answers */

/* layer.c */
void layers_init(Desk *desk);
void layers_finish(Desk *desk);
void layers_arrange(Desk *desk, Output *output);
void layers_output_gone(Desk *desk, struct wlr_output *output);
struct wlr_surface *layer_for_keyboard(Desk *desk, Tree tree);

/* keyboard.c, pointer.c */
gboolean keyboard_init(Desk *desk, GError **error);
void keyboard_add(Desk *desk, struct wlr_input_device *device);
void keyboard_finish(Desk *desk);
void keyboard_focus(Desk *desk, struct wlr_surface *surface); /* NULL: nobody */
void input_init(Desk *desk);
void input_finish(Desk *desk);
void pointer_release(Desk *desk); /* buttons and touches up, focus nowhere */
void pointer_refocus(Desk *desk);

/* thumbnail.c: the VM's view scaled to fit, as rows of XRGB8888 in a sealed memfd. A view that is not on screen may draw its
 * next frame after either. */
void thumbnails_init(Desk *desk);
void thumbnails_finish(Desk *desk);
gboolean thumbnail_is(Vm *vm, guint64 picture); /* whether it still shows that one */
int thumbnail_make(Vm *vm, guint width, guint height, guint *actual_width, guint *actual_height, guint *stride, GError **error);

/* clip.c: text carried from one VM to another */
Clip *clip_new(Desk *desk);
void clip_carry(Clip *clip);
void clip_vm_gone(Clip *clip, Vm *vm);
void clip_free(Clip *clip);

/* manager.c: carreld's client. bus.c: org.carrel.Desk1. */
Manager *manager_new(Desk *desk, GDBusConnection *connection);
void manager_foreground(Manager *manager, const char *name); /* NULL: none */
gboolean manager_is_there(Manager *manager); /* FALSE for NULL */
void manager_free(Manager *manager);
Bus *bus_new(Desk *desk);
GDBusConnection *bus_connection(Bus *bus); /* NULL while there is none */
void bus_changed(Bus *bus);
void bus_notice(Bus *bus, const char *severity, const char *vm, const char *text);
void bus_free(Bus *bus);

/* Adds a listener; listener_remove() may be called on one that was never added. */
static inline void listen_to(struct wl_signal *signal, struct wl_listener *listener, wl_notify_func_t notify)
{
	listener->notify = notify;
	wl_signal_add(signal, listener);
}

static inline void listener_remove(struct wl_listener *listener)
{
	if (listener->link.next)
		wl_list_remove(&listener->link);
	listener->link.next = NULL;
}
#endif
