/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Reading a file or a pipe to its end. Any thread. */
#ifndef KEYD_READING_H
#define KEYD_READING_H

#include <stddef.h>
#include <sys/types.h>

/* Up to cap_bytes, fewer only where the file ends. Their number, or -errno. */
ssize_t read_up_to(int fd, void *to, size_t cap_bytes);

#endif
