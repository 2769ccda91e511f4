/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "lab.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keyd/records/audit.h"
#include "../../keyd/destroy/destroy.h"
#include "../../keyd/store/keystore.h"
#include "../../keyd/records/ledger.h"
#include "../../keyd/common/log.h"
#include "../../keyd/revocation.h"
#include "../../keyd/records/serverkeys.h"
#include "fuzz.h"

static struct lab lab;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	return ftw->level ? remove(path) : 0;
}

static void clear(void)
{
	(void)nftw(lab.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_all(void)
{
	clear();
	(void)rmdir(lab.dir);
}

static int remember_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct lab_file *file = &lab.files[lab.file_count];

	(void)ftw;
	if (flag != FTW_F)
		return 0;
	FUZZ_ASSERT(lab.file_count++ < LAB_FILES_MAX);
	(void)snprintf(file->path, sizeof(file->path), "%s", path + strlen(lab.dir) + 1);
	file->len = (size_t)st->st_size;
	file->data = malloc(file->len + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_ASSERT(file->data && read(fd, file->data, file->len) == (ssize_t)file->len);
	(void)close(fd);
	return 0;
}

static struct volume *add_volume(struct keystore *ks, struct level *level, const char *path)
{
	const struct volume_spec spec = {
		.path = path,
		.cipher = cipher_default(),
		.sector_bytes = 4096,
		.size_bytes = 1 << 20,
	};
	struct volume_draft draft;
	struct volume *volume;

	FUZZ_ASSERT(!keystore_volume_prepare(ks, level, &spec, &draft));
	FUZZ_ASSERT(!keystore_volume_commit(ks, &draft, &volume));
	keystore_volume_discard(&draft);
	return volume;
}

/* On behalf of an administrator who has gone. */
static void destroy_level(struct keyd *keyd, struct level *level)
{
	struct peer peer = {.pidfd = -1};
	struct admin *admin = admin_new(keyd, &peer);
	const struct destroy_order order = {
		.scope = {.level = level}, .requester = {.pidfd = -1}, .requested_at = 1};
	char message[PROTO_MESSAGE_BYTES];

	FUZZ_ASSERT(admin && destroy_start(keyd, &order, admin, 1, message) == PROTO_OK);
	FUZZ_ASSERT(!admin->session.kind->on_closed(keyd, &admin->session));
	for (int i = 0; keyd->destroys && i < 1000; i++) {
		(void)revocation_tick(keyd, INT64_MAX);
		(void)destroy_step(keyd);
	}
	FUZZ_ASSERT(!keyd->destroys);
	admin->session.kind->free(&admin->session);
}

static void fill_store(struct keyd *keyd)
{
	struct level *red, *blue, *gone;
	char id[LEDGER_ID_BYTES];
	struct keystore *ks = &keyd->store;

	FUZZ_ASSERT(!keystore_init(ks, "file", NULL) && !serverkeys_begin(keyd));
	FUZZ_ASSERT(!keystore_level_create(ks, "red", &red));
	FUZZ_ASSERT(!keystore_level_create(ks, "blue", &blue));
	FUZZ_ASSERT(!keystore_level_create(ks, "gone", &gone));
	struct volume *volume = add_volume(ks, red, "/red.img");
	memcpy(lab.volume, volume->uuid, sizeof(lab.volume));
	FUZZ_ASSERT(!keystore_volume_key(ks, volume, lab.key));
	(void)add_volume(ks, blue, "/blue.img");
	FUZZ_ASSERT(!keystore_level_set_state(ks, blue, KEY_SUSPENDED));
	FUZZ_ASSERT(!ledger_new_id(id));
	const struct ledger_entry entry = {.id = id,
		.kind = "volume-key",
		.volume = volume->uuid,
		.by = &(struct peer){.pidfd = -1}};
	FUZZ_ASSERT(!ledger_append(ks->dir_fd, &entry));
	destroy_level(keyd, gone);
}

static void make(void)
{
	static struct keyd keyd;
	sigset_t set;

	log_set_level((enum log_level) - 1);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM); /* keyd's word to its loop */
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)snprintf(lab.dir, sizeof(lab.dir), "/dev/shm/tgt-crypt-fuzz.XXXXXX");
	FUZZ_ASSERT(mkdtemp(lab.dir) && !atexit(remove_all));
	FUZZ_ASSERT(!keystore_open(&keyd.store, lab.dir, NULL));
	FUZZ_ASSERT(!audit_log_open(&keyd.audit, keyd.store.dir_fd, NULL));
	fill_store(&keyd);
	audit_log_close(&keyd.audit);
	keystore_close(&keyd.store);
	FUZZ_ASSERT(!nftw(lab.dir, remember_one, 16, FTW_PHYS));
}

struct lab *lab_get(void)
{
	if (!lab.dir[0])
		make();
	return &lab;
}

void lab_write(const struct lab *of, const char *path, const void *data, size_t len)
{
	char whole[sizeof(of->dir) + LAB_PATH_BYTES];

	(void)snprintf(whole, sizeof(whole), "%s/%s", of->dir, path);
	for (char *slash = strchr(whole + strlen(of->dir) + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(whole, 0700);
		*slash = '/';
	}
	int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	(void)close(fd);
}

void lab_reset(const struct lab *of)
{
	clear();
	for (size_t i = 0; i < of->file_count; i++)
		lab_write(of, of->files[i].path, of->files[i].data, of->files[i].len);
}
