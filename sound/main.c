// SPDX-License-Identifier: Apache-2.0
/* carrel-sound DOMID: opens everything, closes the door behind it, and serves one VM until that is gone. */
#include "sandbox.h"
#include "service.h"
#include "sound.h"

#include <gio/gio.h>
#include <locale.h>

static char *name, *title;
static gboolean no_sandbox, version;

static const GOptionEntry entries[] = {
	{"name", 'n', 0, G_OPTION_ARG_STRING, &name, "Name its nodes in PipeWire after this (default: the domain's number)", "NAME"},
	{"title", 't', 0, G_OPTION_ARG_STRING, &title, "What people read there (default: the name)", "TEXT"},
	{"no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "Keep all system calls, to debug", NULL},
	{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
	{NULL, 0, 0, 0, NULL, NULL, NULL},
};

static void on_ended(void *data, const char *problem)
{
	service_end(data, problem);
}

static int serve(struct xen *xen, uint32_t domid, struct player *player, GError **error)
{
	struct service *service = service_new();
	struct sound *sound = sound_new(xen, domid, player, on_ended, service);
	int status = 1;

	g_message("domain %u: serving its sound", domid); /* opens the journal as well */
	if (no_sandbox || sandbox_enter(player_pipewire_calls, error))
		status = service_run(service);
	sound_free(sound);
	service_free(service);
	return status;
}

static int run(int argc, char **argv, GError **error)
{
	g_autofree char *number = NULL;
	struct player *player;
	uint32_t domid = 0;
	struct xen *xen;
	int status;

	if (!service_parse(&argc, &argv, "DOMID - let a guest be heard, and hear", entries, &version, &domid, error))
		return 2;
	if (version) {
		g_print("carrel-sound %s\n", CARREL_VERSION);
		return 0;
	}
	number = g_strdup_printf("vm-%u", domid);
	xen = xen_real_open(domid, error);
	if (!xen)
		return 1;
	player = player_pipewire_new(name ? name : number, title ? title : name ? name : number);
	status = serve(xen, domid, player, error);
	player->ops->free(player);
	xen->ops->close(xen);
	return status;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	int status;

	setlocale(LC_ALL, "");
	status = run(argc, argv, &error);
	if (error)
		g_printerr("carrel-sound: %s\n", error->message);
	return status;
}
