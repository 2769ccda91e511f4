/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The audit log, its head and the ledger, changed by somebody without the key. The first byte says which file; the others are the file, or
 * are laid over it at a place. A log that passes is the one that was written, and a ledger without a doubt names the export.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keyd/common/jsonhelp.h"
#include "../../keyd/common/log.h"
#include "../../keyd/common/secret.h"
#include "../../keyd/records/audit.h"
#include "../../keyd/records/audit_head.h"
#include "../../keyd/records/ledger.h"

enum { FILES = 3, BYTES_MAX = 65536 };

static const char *const names[FILES] = {AUDIT_FILE, AUDIT_HEAD_FILE, LEDGER_FILE};
static const char export_id[] = "exp-0123456789abcdef";
static struct audit audit;
static struct {
	uint8_t data[BYTES_MAX];
	size_t len;
} files[FILES];
static char dir[] = "/dev/shm/tgt-crypt-fuzz.XXXXXX";
static int dir_fd = -1;

static void remove_all(void)
{
	for (int i = 0; i < FILES; i++)
		(void)unlinkat(dir_fd, names[i], 0);
	(void)rmdir(dir);
}

static void put(int i, const uint8_t *data, size_t len)
{
	int fd = openat(dir_fd, names[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	(void)close(fd);
}

static void record(const char *event, const char *detail)
{
	FUZZ_ASSERT(!audit_append(
		&audit, &(struct audit_event){
				.event = event, .level = "red", .detail = detail, .result = "ok"}));
}

static void make(void)
{
	struct audit_key key = {.bytes = secret_alloc(MAC_KEY_BYTES), .id = "id"};

	log_set_level((enum log_level) - 1);
	FUZZ_ASSERT(key.bytes && mkdtemp(dir) && !atexit(remove_all));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_ASSERT(dir_fd >= 0 && !audit_log_open(&audit, dir_fd, NULL));
	record("init", NULL);
	FUZZ_ASSERT(!audit_adopt_key(&audit, &key));
	record("level-create", NULL);
	record("export", export_id);
	record("level-suspend", NULL);
	const struct ledger_entry entry = {.id = export_id,
		.kind = "export",
		.by = &(struct peer){.pidfd = -1},
		.level = "red"};
	FUZZ_ASSERT(!ledger_append(dir_fd, &entry));
	for (int i = 0; i < FILES; i++) {
		int fd = openat(dir_fd, names[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, files[i].data, sizeof(files[i].data));
		FUZZ_ASSERT(n > 0);
		files[i].len = (size_t)n;
		(void)close(fd);
	}
}

static bool is_named(struct json_object *entries)
{
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		if (!strcmp(json_string(json_object_array_get_idx(entries, i), "id"), export_id))
			return true;
	}
	return false;
}

static void check(bool log_changed)
{
	const struct audit_check with_key = {.key = &audit.key};
	struct audit_verdict v;
	uint64_t damaged;

	FUZZ_ASSERT(audit_verify(dir_fd, &with_key, &v) <= 0);
	FUZZ_ASSERT(!log_changed || v.first_bad_line || v.torn);
	(void)!audit_verify(dir_fd, &(struct audit_check){.key = NULL}, &v);
	struct json_object *entries = ledger_outstanding(dir_fd, "red", NULL, &damaged);
	FUZZ_ASSERT(ledger_doubt(dir_fd, &audit) || (entries && is_named(entries)));
	json_object_put(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t changed[BYTES_MAX];

	if (dir_fd < 0)
		make();
	if (len < 4 || len > BYTES_MAX / 2)
		return 0;
	int which = data[0] % FILES;
	size_t at = (size_t)(data[2] | data[3] << 8), total = len - 4;
	bool overlay = data[1] & 1;
	for (int i = 0; i < FILES; i++)
		put(i, files[i].data, files[i].len);
	if (overlay && at > files[which].len)
		return 0;
	if (overlay) {
		memcpy(changed, files[which].data, files[which].len);
		memcpy(changed + at, data + 4, len - 4);
		total = at + len - 4 > files[which].len ? at + len - 4 : files[which].len;
	} else {
		memcpy(changed, data + 4, len - 4);
	}
	put(which, changed, total);
	bool differs = total != files[which].len || memcmp(changed, files[which].data, total) != 0;
	check(which == 0 && differs);
	return 0;
}
