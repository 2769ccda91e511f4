/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "control.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct faulty *control_open(const char *path, const char *image)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct faulty *control;
	struct stat st;

	if (fd < 0 || ftruncate(fd, sizeof(*control))) {
		perror(path);
		return NULL;
	}
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (control == MAP_FAILED || stat(image, &st)) {
		perror(image);
		return NULL;
	}
	control->device = st.st_dev;
	control->inode = st.st_ino;
	return control;
}

void control_zero(struct faulty *control)
{
	for (unsigned i = 0; i < CALL_KINDS; i++)
		atomic_store(&control->calls[i], 0);
	atomic_store(&control->syncs, 0);
	atomic_store(&control->seen, 0);
	atomic_store(&control->struck, 0);
	atomic_store(&control->struck_now, 0);
	atomic_store(&control->struck_error, 0);
	atomic_store(&control->struck_sync, 0);
}

void control_arm(struct faulty *control, const struct fault_plan *plan)
{
	control_zero(control);
	control->plan = *plan;
	atomic_store(&control->armed, true);
}

void control_disarm(struct faulty *control)
{
	const struct timespec ms = {0, 1000000};

	atomic_store(&control->armed, false);
	while (atomic_load(&control->hanging)) /* or it would take the next plan for its own */
		(void)nanosleep(&ms, NULL);
}
