/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"
#include "model.h"

#include <string.h>

typedef struct {
	Fake *fake;
	GDBusConnection *bus;
	UiModel *model;
	guint states, vms, changes, notices;
	char *notice;
} Fixture;

static void on_state(Fixture *f) { f->states++; }
static void on_vms(Fixture *f) { f->vms++; }

static void on_vm(UiModel *model, CarrelVm1 *vm, Fixture *f)
{
	(void)model, (void)vm;
	f->changes++;
}

static void on_notice(UiModel *model, const char *severity, const char *vm, const char *text, Fixture *f)
{
	(void)model;
	f->notices++;
	g_free(f->notice);
	f->notice = g_strdup_printf("%s %s %s", severity, vm, text);
}

static GDBusConnection *connect_bus(void)
{
	g_autoptr(GError) error = NULL;
	GDBusConnection *bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	return bus;
}

static void set_up(Fixture *f, gconstpointer owned)
{
	f->fake = fake_new();
	fake_vm(f->fake, "work", "Work", "running");
	fake_vm(f->fake, "bank", "Bank", "off");
	fake_template(f->fake, "debian", "Debian", "");
	if (owned)
		fake_own(f->fake);
	f->bus = connect_bus();
	f->model = ui_model_new(f->bus);
	g_signal_connect_swapped(f->model, "state", G_CALLBACK(on_state), f);
	g_signal_connect_swapped(f->model, "vms", G_CALLBACK(on_vms), f);
	g_signal_connect(f->model, "vm", G_CALLBACK(on_vm), f);
	g_signal_connect(f->model, "notice", G_CALLBACK(on_notice), f);
	if (owned)
		WAIT_FOR(ui_model_state(f->model) == MODEL_READY);
}

static void tear_down(Fixture *f, gconstpointer owned)
{
	(void)owned;
	gpointer model = f->model;
	g_object_add_weak_pointer(G_OBJECT(f->model), &model);
	g_object_unref(f->model);
	WAIT_FOR(model == NULL); /* nothing holds it for ever */
	g_dbus_connection_close_sync(f->bus, NULL, NULL);
	g_clear_object(&f->bus);
	fake_free(f->fake);
	g_free(f->notice);
}

static char *names(UiModel *model, gboolean templates)
{
	g_autoptr(GPtrArray) vms = ui_model_vms(model, templates);
	GString *all = g_string_new(NULL);
	for (guint i = 0; i < vms->len; i++)
		g_string_append_printf(all, "%s ", carrel_vm1_get_name(vms->pdata[i]));
	return g_string_free(all, FALSE);
}

#define CHECK_NAMES(templates, expected) \
	do { \
		g_autofree char *names_ = names(f->model, templates); \
		g_assert_cmpstr(names_, ==, expected); \
	} while (0)

static void test_list(Fixture *f, gconstpointer data)
{
	(void)data;
	CHECK_NAMES(FALSE, "bank work ");
	CHECK_NAMES(TRUE, "debian ");
	g_auto(GStrv) all = ui_model_names(f->model);
	g_assert_cmpuint(g_strv_length(all), ==, 3);
	g_assert_nonnull(ui_model_manager(f->model));
	g_assert_nonnull(ui_model_vm_named(f->model, "work"));
	g_assert_null(ui_model_vm_named(f->model, "none"));
	g_assert_null(ui_model_vm(f->model, "/"));
	guint before = f->vms;
	CarrelVm1 *lab = fake_vm(f->fake, "a-lab", "Lab", "off");
	WAIT_FOR(f->vms > before);
	CHECK_NAMES(FALSE, "a-lab bank work ");
	before = f->vms;
	fake_remove(f->fake, lab);
	WAIT_FOR(f->vms > before);
	CHECK_NAMES(FALSE, "bank work ");
}

static void test_change(Fixture *f, gconstpointer data)
{
	(void)data;
	CarrelVm1 *fresh = fake_vm(f->fake, "fresh", "Fresh", "off");
	WAIT_FOR(ui_model_vm_named(f->model, "fresh"));
	guint before = f->changes;
	carrel_vm1_set_state(fresh, "running");
	WAIT_FOR(f->changes > before);
	g_assert_cmpstr(carrel_vm1_get_state(ui_model_vm_named(f->model, "fresh")), ==, "running");
	carrel_vm1_set_template(fresh, TRUE);
	WAIT_FOR(ui_model_vm_named(f->model, "fresh") && carrel_vm1_get_template(ui_model_vm_named(f->model, "fresh")));
	CHECK_NAMES(FALSE, "bank work ");
}

static void test_restart(Fixture *f, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 5; i++) {
		fake_drop(f->fake);
		WAIT_FOR(ui_model_state(f->model) == MODEL_ABSENT);
		CHECK_NAMES(FALSE, "");
		g_assert_null(ui_model_manager(f->model));
		fake_own(f->fake);
		WAIT_FOR(ui_model_state(f->model) == MODEL_READY);
		CHECK_NAMES(FALSE, "bank work ");
	}
}

static void test_late(Fixture *f, gconstpointer data)
{
	(void)data;
	fake_settle(100);
	g_assert_cmpint(ui_model_state(f->model), ==, MODEL_ABSENT);
	fake_own(f->fake);
	WAIT_FOR(ui_model_state(f->model) == MODEL_READY);
}

static GDBusMessage *swallow(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
	(void)bus, (void)data;
	if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
		return message;
	g_object_unref(message);
	return NULL;
}

/* A manager that hangs is waited for without waiting: the main loop goes round, and when it goes another is taken. */
static void test_hung(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(GDBusConnection) hung = connect_bus();
	g_dbus_connection_add_filter(hung, swallow, NULL, NULL);
	guint id = g_bus_own_name_on_connection(hung, "org.carrel", 0, NULL, NULL, NULL, NULL);
	WAIT_FOR(ui_model_state(f->model) == MODEL_LOADING);
	gint64 before = g_get_monotonic_time();
	fake_settle(200);
	g_assert_cmpint(g_get_monotonic_time() - before, <, 5 * (gint64)G_USEC_PER_SEC);
	g_assert_cmpint(ui_model_state(f->model), ==, MODEL_LOADING);
	g_bus_unown_name(id);
	WAIT_FOR(ui_model_state(f->model) == MODEL_ABSENT);
	fake_own(f->fake);
	WAIT_FOR(ui_model_state(f->model) == MODEL_READY);
	g_dbus_connection_close_sync(hung, NULL, NULL);
}

typedef struct {
	guint progressed, ended;
	double progress;
	char *end;
} Followed;

static void on_progress(CarrelJob1 *job, gpointer data)
{
	Followed *followed = data;
	followed->progressed++;
	followed->progress = carrel_job1_get_progress(job);
}

static void on_end(const char *state, const char *message, const char *result, gpointer data)
{
	Followed *followed = data;
	followed->ended++;
	g_free(followed->end);
	followed->end = g_strdup_printf("%s|%s|%s", state, message, result);
}

static void test_job(Fixture *f, gconstpointer data)
{
	(void)data;
	Followed followed = {0};
	CarrelJob1 *job = fake_job(f->fake, "Start", "bank", 0, "Begins");
	const char *vm = g_dbus_proxy_get_object_path(G_DBUS_PROXY(ui_model_vm_named(f->model, "bank")));
	ui_model_follow(f->model, fake_job_path(job), on_progress, on_end, &followed); /* before it is announced */
	WAIT_FOR(followed.progressed > 0);
	g_assert_nonnull(ui_model_job_of(f->model, vm));
	carrel_job1_set_progress(job, 0.5);
	WAIT_FOR(followed.progress > 0.4);
	carrel_job1_set_result(job, "/org/carrel/vm/bank");
	fake_end(f->fake, job, "done", "");
	WAIT_FOR(followed.ended);
	g_assert_cmpstr(followed.end, ==, "done||/org/carrel/vm/bank");
	g_assert_null(ui_model_job_of(f->model, vm));
	g_assert_cmpuint(f->notices, ==, 0);
	ui_model_follow(f->model, fake_job_path(job), on_progress, on_end, &followed); /* still listed, but over */
	WAIT_FOR(followed.ended == 2);
	g_free(followed.end);
}

static void test_job_fails(Fixture *f, gconstpointer data)
{
	(void)data;
	Followed followed = {0};
	CarrelJob1 *job = fake_job(f->fake, "Start", "bank", 0, "");
	ui_model_follow(f->model, fake_job_path(job), on_progress, on_end, &followed);
	WAIT_FOR(followed.progressed > 0);
	fake_end(f->fake, job, "failed", "no \u202ememory");
	WAIT_FOR(followed.ended && f->notices);
	g_assert_cmpstr(followed.end, ==, "failed|no memory|/");
	g_assert_cmpstr(f->notice, ==, "error /org/carrel/vm/bank no \u202ememory");
	fake_settle(100);
	g_assert_cmpuint(followed.ended, ==, 1);
	g_assert_cmpuint(f->notices, ==, 1);
	g_free(followed.end);
}

static void test_job_lost(Fixture *f, gconstpointer data)
{
	(void)data;
	Followed followed = {0}, never = {0};
	CarrelJob1 *job = fake_job(f->fake, "Start", "bank", 0, "");
	ui_model_follow(f->model, fake_job_path(job), on_progress, on_end, &followed);
	guint id = ui_model_follow(f->model, fake_job_path(job), on_progress, on_end, &never);
	WAIT_FOR(followed.progressed > 0);
	ui_model_unfollow(f->model, id);
	fake_drop(f->fake);
	WAIT_FOR(followed.ended);
	g_assert_cmpstr(followed.end, ==, "lost||/");
	g_assert_cmpuint(never.ended, ==, 0);
	ui_model_follow(f->model, "/org/carrel/job/77", on_progress, on_end, &followed);
	g_assert_cmpuint(followed.ended, ==, 2);
	g_free(followed.end);
}

static void test_notice(Fixture *f, gconstpointer data)
{
	(void)data;
	carrel_manager1_emit_notice(f->fake->manager, "warning", "/", "hot");
	WAIT_FOR(f->notices == 1);
	g_assert_cmpstr(f->notice, ==, "warning / hot");
}

static void test_many(Fixture *f, gconstpointer data)
{
	(void)data;
	for (int i = 0; i < 50; i++) {
		g_autofree char *name = g_strdup_printf("vm-%02d", i);
		fake_vm(f->fake, name, name, "off");
	}
	WAIT_FOR(ui_model_vm_named(f->model, "vm-49"));
	g_autoptr(GPtrArray) vms = ui_model_vms(f->model, FALSE);
	g_assert_cmpuint(vms->len, ==, 52);
}

static void test_errors(void)
{
	g_autoptr(GError) slow = g_error_new(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached");
	g_autoptr(GError) theirs = g_dbus_error_new_for_dbus_error("org.carrel.Error.NoMemory", "work: 1 GiB is missing\n\u202e");
	g_autofree char *a = error_text(slow), *b = error_text(theirs);
	g_assert_true(g_str_has_prefix(a, "The manager did not answer"));
	g_assert_cmpstr(b, ==, "work: 1 GiB is missing");
}

#define ADD(name, owned, function) g_test_add("/model/" name, Fixture, GINT_TO_POINTER(owned), set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("list", 1, test_list);
	ADD("change", 1, test_change);
	ADD("restart", 1, test_restart);
	ADD("late", 0, test_late);
	ADD("hung", 0, test_hung);
	ADD("job", 1, test_job);
	ADD("job-fails", 1, test_job_fails);
	ADD("job-lost", 1, test_job_lost);
	ADD("notice", 1, test_notice);
	ADD("many", 1, test_many);
	g_test_add_func("/model/errors", test_errors);
	return g_test_run();
}
