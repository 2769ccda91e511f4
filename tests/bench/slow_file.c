/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * slow-file MILLISECONDS FILE MOUNTPOINT: FILE, seen at the file MOUNTPOINT through FUSE, where every
 * read and write takes that long, and any number of them go on at once: a slow disk that loves deep
 * queues. Speaks the kernel's protocol itself (linux/fuse.h), because libfuse and nbdfuse serve ten
 * requests at a time and one write. Needs root. Ends, and unmounts, on SIGTERM and SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef FOPEN_PARALLEL_DIRECT_WRITES /* since Linux 6.2 */
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

enum {
	DATA_MAX = 1 << 20, /* of one read or write */
	REQUEST_MAX = DATA_MAX + 4096,
	QUEUE_MAX = 4096,
	PAGES_MAX = DATA_MAX / 4096,
};

/* An answer that waits until it is due. All wait equally long, so the oldest is due first. */
struct answer {
	int64_t due_ns;
	struct fuse_out_header head;
	void *body; /* head.len - sizeof(head) bytes, freed when it is sent */
};

static struct answer queue[QUEUE_MAX];
static size_t oldest, waiting;
static int device, file;
static int64_t delay_ns;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

static struct fuse_out_header header(uint64_t unique, int error, size_t len)
{
	return (struct fuse_out_header){
		(uint32_t)(sizeof(struct fuse_out_header) + len), error, unique};
}

static void answer_now(uint64_t unique, int error, const void *body, size_t len)
{
	struct {
		struct fuse_out_header head;
		uint8_t body[256];
	} out = {header(unique, error, len), {0}};

	memcpy(out.body, body, len);
	if (write(device, &out, out.head.len) < 0 && errno != ENOENT)
		die("slow-file: answer");
}

/* Takes body. A full queue would mean more requests than any test has: it ends the program. */
static void answer_later(uint64_t unique, int error, void *body, size_t len)
{
	if (waiting == QUEUE_MAX) {
		fprintf(stderr, "slow-file: more than %d requests at once\n", QUEUE_MAX);
		exit(1);
	}
	queue[(oldest + waiting++) % QUEUE_MAX] =
		(struct answer){now_ns() + delay_ns, header(unique, error, len), body};
}

static void send_answer(struct answer *a)
{
	struct iovec parts[2] = {
		{&a->head, sizeof(a->head)}, {a->body, a->head.len - sizeof(a->head)}};

	if (writev(device, parts, parts[1].iov_len ? 2 : 1) < 0 && errno != ENOENT)
		die("slow-file: answer");
	free(a->body);
}

static void send_due(void)
{
	while (waiting && queue[oldest].due_ns <= now_ns()) {
		send_answer(&queue[oldest]);
		oldest = (oldest + 1) % QUEUE_MAX;
		waiting--;
	}
}

/* ---- Requests ---------------------------------------------------------------------------------- */

static void on_init(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES,
		.max_background = UINT16_MAX,
		.congestion_threshold = UINT16_MAX,
		.max_write = DATA_MAX,
		.max_pages = PAGES_MAX,
		.time_gran = 1,
	};

	answer_now(unique, 0, &out, sizeof(out));
}

static void on_getattr(uint64_t unique)
{
	struct stat st;

	if (fstat(file, &st))
		die("slow-file: fstat");
	struct fuse_attr_out out = {
		.attr_valid = 3600,
		.attr = {.ino = FUSE_ROOT_ID,
			.size = (uint64_t)st.st_size,
			.blocks = (uint64_t)st.st_blocks,
			.mode = S_IFREG | 0600,
			.nlink = 1,
			.blksize = 4096},
	};
	answer_now(unique, 0, &out, sizeof(out));
}

static void on_open(uint64_t unique)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};

	answer_now(unique, 0, &out, sizeof(out));
}

static void on_read(uint64_t unique, const struct fuse_read_in *in)
{
	void *data = malloc(in->size);
	ssize_t n = data ? pread(file, data, in->size, (off_t)in->offset) : -1;

	answer_later(unique, n < 0 ? -EIO : 0, data, n < 0 ? 0 : (size_t)n);
}

static void on_write(uint64_t unique, const struct fuse_write_in *in)
{
	struct fuse_write_out *out = calloc(1, sizeof(*out));
	ssize_t n = out ? pwrite(file, in + 1, in->size, (off_t)in->offset) : -1;

	if (n >= 0)
		out->size = (uint32_t)n;
	answer_later(unique, n < 0 ? -EIO : 0, out, n < 0 ? 0 : sizeof(*out));
}

static void on_request(const struct fuse_in_header *head)
{
	const void *body = head + 1;

	switch (head->opcode) {
	case FUSE_INIT:
		on_init(head->unique, body);
		break;
	case FUSE_GETATTR:
		on_getattr(head->unique);
		break;
	case FUSE_OPEN:
		on_open(head->unique);
		break;
	case FUSE_READ:
		on_read(head->unique, body);
		break;
	case FUSE_WRITE:
		on_write(head->unique, body);
		break;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
		answer_now(head->unique, 0, "", 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these have no answer */
	default:
		answer_now(head->unique, -ENOSYS, "", 0);
	}
}

/* ---- The loop ---------------------------------------------------------------------------------- */

/* False when the file system is gone. */
static bool take_requests(void *buf)
{
	ssize_t n;

	while ((n = read(device, buf, REQUEST_MAX)) > 0)
		on_request(buf);
	return n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT);
}

static void serve(void)
{
	struct pollfd ready = {.fd = device, .events = POLLIN};
	sigset_t unblocked;
	void *buf = malloc(REQUEST_MAX);

	if (!buf)
		die("slow-file");
	sigemptyset(&unblocked);
	while (!stop) {
		int64_t ns = waiting ? queue[oldest].due_ns - now_ns() : 0;
		struct timespec rest = {0, ns > 0 ? ns : 0};
		ppoll(&ready, 1, waiting ? &rest : NULL, &unblocked);
		send_due();
		if (!take_requests(buf))
			break;
	}
	free(buf);
}

/* Signals come while the loop waits, and at no other time. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

int main(int argc, char **argv)
{
	int milliseconds = argc == 4 ? atoi(argv[1]) : 0;
	char options[128];

	if (milliseconds < 1 || milliseconds > 999) {
		fprintf(stderr, "usage: slow-file MILLISECONDS (1 to 999) FILE MOUNTPOINT\n");
		return 2;
	}
	delay_ns = (int64_t)milliseconds * 1000000;
	file = open(argv[2], O_RDWR | O_CLOEXEC);
	if (file < 0)
		die(argv[2]);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (device < 0)
		die("/dev/fuse");
	catch_signals();
	snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=%u,group_id=%u", device,
		(unsigned)S_IFREG, getuid(), getgid());
	if (mount("slow-file", argv[3], "fuse", MS_NOSUID | MS_NODEV, options))
		die(argv[3]);
	serve();
	umount2(argv[3], MNT_DETACH);
	return 0;
}
