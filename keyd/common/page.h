/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The page in which keyd and one peer hand each other secrets (docs/PROTOCOL.md, "The shared page").
 *
 * The kernel frees socket buffers without wiping them, so no secret travels in a message. keyd makes one page for a
 * connection and sends its descriptor; a message then says where in the page a secret is and how long it is. The memory
 * is memfd_secret(2) where the kernel has it, which wipes it when it is freed, else a memfd whose size is sealed. Both
 * sides lock it in RAM, and leave it out of core dumps and of forked children.
 *
 * The peer can write to the page at any time. Whatever is read is copied once, and only the copy is looked at.
 * No shared state; one thread uses a page at a time.
 */
#ifndef KEYD_PAGE_H
#define KEYD_PAGE_H

#include <stddef.h>
#include <stdint.h>

enum {
	PAGE_BYTES = 4096,
	PAGE_SLOT_BYTES = 64, /* of an ATTACH: the longest volume key */
	PAGE_SLOTS = PAGE_BYTES / PAGE_SLOT_BYTES,
};

/*
 * Makes a page and maps it. *fd, owned by the caller, is to be sent to the peer. The mapping, or NULL with errno set
 * (ENOMEM, EPERM and EAGAIN: it cannot be locked).
 */
uint8_t *page_new(int *fd) __attribute__((warn_unused_result));

/* Maps the page that fd (the caller's) is; as above, and EINVAL: fd is no page whose size is fixed. */
uint8_t *page_map(int fd) __attribute__((warn_unused_result));

/* Wipes all of the page and unmaps it. NULL is allowed. */
void page_free(uint8_t *page);

/* Puts len_bytes at offset at; the caller has checked that they fit. */
void page_put(uint8_t *page, size_t at, const void *from, size_t len_bytes);

/* Copies them out, once, and overwrites their place. */
void page_take(uint8_t *page, size_t at, void *to, size_t len_bytes);

#endif
