/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The files of a key store, changed by somebody, or by something, else. The first byte says which file, and whether the
 * others are the file, are laid over it at a place, or are the text of a record that is sealed with the right key.
 * Whatever they are, the store opens or is refused, and a key that comes out of it is the one that went in.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../../keyd/records/audit.h"
#include "../../keyd/holders.h"
#include "../../keyd/store/keystore.h"
#include "../../keyd/records/ledger.h"
#include "../../keyd/store/record.h"
#include "../../keyd/common/secret.h"
#include "../../keyd/records/serverkeys.h"
#include "lab.h"

/* Two bytes say where the others go. */
static void overlay(
	const struct lab *lab, const struct lab_file *file, const uint8_t *data, size_t len)
{
	size_t at = len > 1 ? (size_t)(data[0] | data[1] << 8) : 0;

	if (len < 2 || at > file->len)
		return;
	data += 2;
	len -= 2;
	size_t total = at + len > file->len ? at + len : file->len;
	uint8_t *changed = malloc(total + 1);
	FUZZ_ASSERT(changed);
	memcpy(changed, file->data, file->len);
	memcpy(changed + at, data, len);
	lab_write(lab, file->path, changed, total);
	free(changed);
}

/* With the store's own root key: kind, state, length of the key, then the text. */
static void seal(const struct lab *lab, const uint8_t *data, size_t len)
{
	struct keystore ks;
	struct record rec = {
		.created_at = 1, .changed_at = 1, .level = "red", .size_bytes = 1 << 20};
	uint8_t *sealed, key[CIPHER_KEY_MAX] = {7};
	size_t sealed_bytes;

	if (len < 2 || len > RECORD_BODY_BYTES_MAX || keystore_open(&ks, lab->dir, NULL))
		return;
	rec.kind = data[0] % 8;
	rec.state = data[0] / 8 % 4;
	(void)snprintf(rec.cipher, sizeof(rec.cipher), "%s",
		data[0] & 64 ? "aes-xts-plain64" : cipher_default()->name);
	rec.body = calloc(1, len);
	FUZZ_ASSERT(rec.body);
	memcpy(rec.body, data + 2, len - 2);
	if (!record_seal(
		    &rec, ks.root, key, data[1] % (CIPHER_KEY_MAX + 1), &sealed, &sealed_bytes)) {
		static const char *const names[] = {"levels/red/level.key",
			"levels/red/destroy.intent", "levels/red/destroyed",
			"levels/gone/destroyed"};
		lab_write(lab, names[data[1] % 4], sealed, sealed_bytes);
		free(sealed);
	}
	record_clear(&rec);
	keystore_close(&ks);
}

static void check_volumes(const struct lab *lab, struct keystore *ks)
{
	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);

	FUZZ_ASSERT(key);
	for (size_t i = 0; i < ks->level_count; i++) {
		for (size_t k = 0; k < ks->levels[i]->volume_count; k++) {
			struct volume *volume = ks->levels[i]->volumes[k];
			if (keystore_volume_state(volume) != KEY_ACTIVE ||
				keystore_volume_key(ks, volume, key))
				continue;
			FUZZ_ASSERT(strcmp(volume->uuid, lab->volume) ||
				    !memcmp(key, lab->key, volume->cipher->key_bytes));
		}
	}
	secret_free(key);
}

static void open_all(const struct lab *lab)
{
	static struct keyd keyd;
	struct audit_verdict verdict;

	memset(&keyd, 0, sizeof(keyd));
	if (keystore_open(&keyd.store, lab->dir, NULL)) {
		keystore_close(&keyd.store);
		return;
	}
	int rc = audit_verify(keyd.store.dir_fd, &(struct audit_check){.key = NULL}, &verdict);
	rc = audit_log_open(&keyd.audit, keyd.store.dir_fd, NULL);
	if (!rc) {
		if (keyd.store.root)
			rc = serverkeys_begin(&keyd);
		if (!rc && !keystore_is_locked(&keyd.store))
			rc = holders_load(&keyd);
		audit_log_close(&keyd.audit);
	}
	FUZZ_ASSERT(rc <= 0);
	check_volumes(lab, &keyd.store);
	for (size_t i = 0; i < keyd.session_count; i++)
		keyd.sessions[i]->kind->free(keyd.sessions[i]);
	keystore_close(&keyd.store);
}

/* What a crash may have left, or another custody's file beside the root key, or in its place. */
static void add_file(const struct lab *lab, uint8_t choice, const uint8_t *data, size_t len)
{
	static const char *const names[] = {"levels/red/.new-level.key", ".next-root.key",
		"root.passphrase", ".next-root.passphrase", "levels/red/volumes/x.key",
		"levels/new/level.key", "levels/red/volumes/destroy.intent", "audit.log.torn-1"};
	char path[sizeof(lab->dir) + LAB_PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/root.key", lab->dir);
	if (choice & 0x80)
		(void)unlink(path);
	lab_write(lab, names[choice % (sizeof(names) / sizeof(names[0]))], data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct lab *lab = lab_get();

	if (len < 2)
		return 0;
	lab_reset(lab);
	const struct lab_file *file = &lab->files[data[0] % lab->file_count];
	switch (data[1] % 4) {
	case 0:
		lab_write(lab, file->path, data + 2, len - 2);
		break;
	case 1:
		overlay(lab, file, data + 2, len - 2);
		break;
	case 2:
		seal(lab, data + 2, len - 2);
		break;
	default:
		add_file(lab, data[0], data + 2, len - 2);
		break;
	}
	open_all(lab);
	return 0;
}
