/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "holders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "consumer.h"
#include "durable.h"
#include "jsonhelp.h"
#include "log.h"
#include "moment.h"

enum {
	SETTLE_MS = 3000,
	FILE_BYTES_MAX = 64 * 1024 * 1024, /* every session with every volume of some levels */
};

static struct json_object *process_json(const struct consumer *consumer)
{
	const struct peer *peer = &consumer->session.peer;
	struct json_object *volumes = json_object_new_array();
	struct json_object *json = json_object_new_object();

	bool ok = json_add_number(json, "pid", (uint64_t)peer->pid) &&
		  json_add_number(json, "uid", peer->uid) &&
		  json_add_number(json, "start_time", peer->start_time) &&
		  json_add_string(json, "program", consumer->program);
	for (size_t i = 0; ok && i < consumer->held_count; i++)
		ok = json_append(volumes, json_object_new_string(consumer->held[i].volume->uuid));
	if (ok && json_add(json, "volumes", volumes))
		return json;
	if (!ok)
		json_object_put(volumes);
	json_object_put(json);
	return NULL;
}

static struct json_object *table_json(const struct keyd *keyd)
{
	char boot_id[MOMENT_BOOT_ID_BYTES];
	struct json_object *json = json_object_new_object();
	struct json_object *processes = json_object_new_array();

	bool ok = !moment_boot_id(boot_id) && json_add_string(json, "boot_id", boot_id);
	for (size_t i = 0; ok && i < keyd->session_count; i++) {
		const struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer && consumer->held_count)
			ok = json_append(processes, process_json(consumer));
	}
	if (ok && json_add(json, "processes", processes))
		return json;
	if (!ok)
		json_object_put(processes);
	json_object_put(json);
	return NULL;
}

/* What is in the table now. Without memory for that it is written anew next time. */
static void note_listed(struct consumer *consumer)
{
	char(*listed)[PROTO_UUID_BYTES] =
		reallocarray(consumer->listed, consumer->held_count + 1, sizeof(*listed));

	consumer->listed_count = 0;
	if (!listed)
		return;
	consumer->listed = listed; /* the consumer owns it */
	for (size_t i = 0; i < consumer->held_count; i++)
		memcpy(listed[consumer->listed_count++], consumer->held[i].volume->uuid,
			sizeof(*listed));
}

bool holders_lists(const struct consumer *consumer, const struct volume *volume)
{
	for (size_t i = 0; i < consumer->listed_count; i++) {
		if (!strcmp(consumer->listed[i], volume->uuid))
			return true;
	}
	return false;
}

int holders_save(struct keyd *keyd)
{
	struct json_object *json = table_json(keyd);
	const char *text =
		json ? json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN) : NULL;

	int rc = -ENOMEM;
	if (text)
		rc = durable_write(keyd->store.dir_fd, HOLDERS_FILE, text, strlen(text));
	json_object_put(json);
	for (size_t i = 0; !rc && i < keyd->session_count; i++) {
		struct consumer *consumer = consumer_of(keyd->sessions[i]);
		if (consumer)
			note_listed(consumer);
	}
	return rc;
}

static int add_volumes(
	const struct keyd *keyd, struct consumer *consumer, struct json_object *process)
{
	struct json_object *volumes;

	if (!json_object_object_get_ex(process, "volumes", &volumes))
		return 0;
	for (size_t i = 0; i < json_object_array_length(volumes); i++) {
		struct json_object *uuid = json_object_array_get_idx(volumes, i);
		struct volume *volume = keystore_volume(&keyd->store, json_object_get_string(uuid));
		if (volume && consumer_add_held(consumer, volume, false))
			return -ENOMEM;
	}
	return 0;
}

static int reopen(struct peer *peer, struct json_object *process)
{
	return peer_reopen(peer, (pid_t)json_number(process, "pid"),
		(uid_t)json_number(process, "uid"), json_number(process, "start_time"));
}

/* Puts one process back into the table, if it is still the one that it was. */
static int restore_process(struct keyd *keyd, struct json_object *process)
{
	struct peer peer;

	int rc = reopen(&peer, process);
	if (rc == -ESRCH || rc == -EINVAL || keyd->session_count == SESSIONS_MAX)
		return 0;
	if (rc)
		return rc;
	struct consumer *consumer = consumer_new(&peer);
	if (!consumer) {
		peer_clear(&peer);
		return -ENOMEM;
	}
	strncpy(consumer->program, json_string(process, "program"), sizeof(consumer->program) - 1);
	rc = add_volumes(keyd, consumer, process);
	if (rc || !consumer->held_count) {
		consumer->session.kind->free(&consumer->session);
		return rc;
	}
	log_info("pid %d uid %u held keys before keyd started: waiting for it to come back",
		(int)consumer->session.peer.pid, (unsigned)consumer->session.peer.uid);
	keyd->sessions[keyd->session_count++] = &consumer->session; /* the table owns it */
	return 0;
}

/* The processes of a table of this boot; NULL when there are none. *readable: it is a table. */
static struct json_object *processes_of(struct json_object *json, bool *readable)
{
	char boot_id[MOMENT_BOOT_ID_BYTES];
	struct json_object *processes;

	*readable = json_object_object_get_ex(json, "processes", &processes) &&
		    json_object_is_type(processes, json_type_array) && !moment_boot_id(boot_id);
	return *readable && !strcmp(json_string(json, "boot_id"), boot_id) ? processes : NULL;
}

static int restore(struct keyd *keyd, struct json_object *json, bool *readable)
{
	struct json_object *processes = processes_of(json, readable);
	int rc = 0;

	for (size_t i = 0; !rc && processes && i < json_object_array_length(processes); i++)
		rc = restore_process(keyd, json_object_array_get_idx(processes, i));
	return rc;
}

ssize_t holders_running(int state_fd, struct peer *peers, size_t max)
{
	ssize_t count = 0;
	uint8_t *text;
	size_t len_bytes;
	bool readable;

	int rc = durable_read(state_fd, HOLDERS_FILE, FILE_BYTES_MAX, &text, &len_bytes);
	if (rc)
		return rc;
	struct json_object *json = json_tokener_parse((const char *)text);
	struct json_object *processes = processes_of(json, &readable);
	for (size_t i = 0; processes && i < json_object_array_length(processes); i++) {
		if ((size_t)count < max &&
			!reopen(&peers[count], json_object_array_get_idx(processes, i)))
			count++;
	}
	json_object_put(json);
	free(text);
	return readable ? count : -EBADMSG;
}

int holders_load(struct keyd *keyd)
{
	bool readable = false;
	uint8_t *text;
	size_t len_bytes;

	int rc = durable_read(keyd->store.dir_fd, HOLDERS_FILE, FILE_BYTES_MAX, &text, &len_bytes);
	if (!rc) {
		struct json_object *json = json_tokener_parse((const char *)text);
		rc = restore(keyd, json, &readable);
		json_object_put(json);
		free(text);
		if (rc)
			return rc;
	}
	if (!readable && keyd->store.level_count)
		keyd->settle_until_ms = clock_now_ms() + SETTLE_MS;
	/* So that the next start finds a table even if no key leaves before. */
	rc = holders_save(keyd);
	if (rc)
		log_warning("cannot write %s: %s: no key will leave", HOLDERS_FILE, strerror(-rc));
	return 0;
}
