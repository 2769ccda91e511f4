/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* Younger than the headers that keyd is built with: landlock(7). */
#define ACCESS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define NET_BIND_TCP     (UINT64_C(1) << 0)  /* ABI 4 */
#define NET_CONNECT_TCP  (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT   (UINT64_C(1) << 0) /* ABI 6 */

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

enum {
	READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	MAKE = LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR,
	REMOVE = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR,
	WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | MAKE | REMOVE | ACCESS_REFER | ACCESS_TRUNCATE,
	/* No rule may name others for something that is no directory. */
	OF_FILES = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE |
		   ACCESS_IOCTL_DEV,
	/* Nothing is executed, and neither devices nor sockets are made, anywhere. */
	OF_ABI_1 = LANDLOCK_ACCESS_FS_EXECUTE | READ | LANDLOCK_ACCESS_FS_WRITE_FILE | MAKE |
		   REMOVE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
		   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		   LANDLOCK_ACCESS_FS_MAKE_SYM,
};

/* As tpm2-tss names them: tpm2-tcti in keyd.conf(5). */
static const char tcti_device[] = "device:";
static const uint64_t tpm_access = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV;

/* What keyd and its libraries open while they serve, beside the state directory. */
static const struct {
	const char *path;
	uint64_t access;
} everybodys[] = {
	/* a peer's start time; a memfd by its number, for libcryptsetup; boot_id */
	{"/proc", READ},
	/* libraries loaded late: OpenSSL's providers, name services, libgcc for threads */
	{"/usr", READ},
	{"/lib", READ},
	{"/lib64", READ},
	{"/etc/ld.so.cache", READ},
	{"/etc/ssl/openssl.cnf", READ},
	{"/etc/localtime", READ},
	/* names of users in certificates: files, systemd-userdb, sssd's mapped tables */
	{"/etc/passwd", READ},
	{"/etc/group", READ},
	/* labels: libselinux asks the kernel's policy by writing the question (selinuxfs) */
	{"/sys/fs/selinux", READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
	{"/etc/selinux", READ},
	/* the machine, as certificates name it: machine-id(5) */
	{"/etc/machine-id", READ},
	{"/etc/nsswitch.conf", READ},
	{"/run/systemd/userdb", READ},
	{"/etc/userdb", READ},
	{"/var/lib/sss/mc", READ},
	/* names of machines, with sandbox-network */
	{"/etc/hosts", READ},
	{"/etc/resolv.conf", READ},
	{"/sys/devices/system/cpu", READ},
	{"/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
	{"/dev/random", READ},
	{"/dev/urandom", READ},
	/* custody tpm2: whoever may open it as a user of the system */
	{"/dev/tpmrm0", READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV},
};

static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

/* A service manager may want to be told by a socket without a file: sd_notify(3). */
static bool notifies_abstract_socket(void)
{
	const char *socket = getenv("NOTIFY_SOCKET");

	return socket && socket[0] == '@';
}

/* Everything that a kernel with this ABI can forbid. */
static struct ruleset_attr handled(int abi, const struct config *config)
{
	struct ruleset_attr attr = {.handled_access_fs = OF_ABI_1};

	if (abi >= 2)
		attr.handled_access_fs |= ACCESS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= ACCESS_TRUNCATE;
	if (abi >= 4 && !sandbox_has_network(config))
		attr.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 5)
		attr.handled_access_fs |= ACCESS_IOCTL_DEV;
	if (abi >= 6 && !notifies_abstract_socket())
		attr.scoped = SCOPE_ABSTRACT;
	return attr;
}

/* Allows access, as far as the kernel knows it, to path and what is beneath. */
static int allow(int ruleset, uint64_t handled_fs, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & handled_fs};
	struct stat st;

	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) ? -errno : 0;
	if (!rc && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	rule.parent_fd = fd;
	if (!rc && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		rc = -errno;
	(void)close(fd);
	return rc;
}

/* keyd takes its sockets' names away when it ends. */
static int allow_removal(int ruleset, uint64_t handled_fs, const char *socket)
{
	char *copy = strdup(socket);
	int rc = copy ? allow(ruleset, handled_fs, dirname(copy), LANDLOCK_ACCESS_FS_REMOVE_FILE)
		      : -ENOMEM;

	free(copy);
	return rc;
}

static int add_rules(int ruleset, uint64_t handled_fs, const struct config *config)
{
	int rc = allow(ruleset, handled_fs, config->state, READ | WRITE);
	if (!rc)
		rc = allow_removal(ruleset, handled_fs, config->socket);
	if (!rc)
		rc = allow_removal(ruleset, handled_fs, config->admin_socket);
	for (size_t i = 0; !rc && i < config->sandbox_path_count; i++) {
		const char *path = config->sandbox_paths[i];
		rc = allow(ruleset, handled_fs, path, READ | WRITE | ACCESS_IOCTL_DEV);
		if (rc)
			log_error("sandbox-paths: %s: %s", path, strerror(-rc));
	}
	const char *tcti = config->custody.tpm2_tcti;
	if (!rc && tcti && !strncmp(tcti, tcti_device, strlen(tcti_device))) {
		rc = allow(ruleset, handled_fs, tcti + strlen(tcti_device), tpm_access);
		if (rc == -ENOENT) { /* all else is confined all the same */
			log_warning(
				"%s is not there: keyd cannot open it before it is started again",
				tcti);
			rc = 0;
		}
	}
	/* What a system does not have is not asked for, either. */
	for (size_t i = 0; !rc && i < sizeof(everybodys) / sizeof(everybodys[0]); i++) {
		rc = allow(ruleset, handled_fs, everybodys[i].path, everybodys[i].access);
		if (rc == -ENOENT || rc == -EACCES || rc == -ENXIO)
			rc = 0;
	}
	return rc;
}

int sandbox_files(const struct config *config)
{
	int abi = landlock_abi();
	if (abi < 0)
		return abi;
	const struct ruleset_attr attr = handled(abi, config);
	/* A longer structure than the kernel's is taken as long as what it does not know is zero. */
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	int rc = add_rules(ruleset, attr.handled_access_fs, config);
	if (!rc && syscall(SYS_landlock_restrict_self, ruleset, 0))
		rc = -errno;
	(void)close(ruleset);
	return rc ? rc : abi;
}
