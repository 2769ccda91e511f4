/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The names in an initiator's first login request. tgt prints them as they come in "tgtadm --op show", and tgt-admin(8)
 * reads that text line by line and builds shell commands of it. Here nothing passes that could be taken for more than
 * one word of one line. Pure functions; any thread.
 */
#ifndef BS_CRYPT_INITIATOR_H
#define BS_CRYPT_INITIATOR_H

#include <stddef.h>

enum {
	INITIATOR_NAME_BYTES_MAX = 223,  /* RFC 7143 4.2.7.1 */
	INITIATOR_ALIAS_BYTES_MAX = 255, /* RFC 7143 6.1 */
	INITIATOR_SHOWN_BYTES = 100,
};

/* Why a login is refused. */
struct initiator_fault {
	const char *key;                   /* InitiatorName or InitiatorAlias */
	const char *why;                   /* half a sentence */
	char shown[INITIATOR_SHOWN_BYTES]; /* the value: cut, everything unusual in it as \xNN */
};

/*
 * Checks the text of a login request (RFC 7143 6.1: pairs of key=value, each with a zero byte at its end), every
 * InitiatorName and InitiatorAlias in it:
 *
 * - A name begins with "iqn.", "eui." or "naa." and has the ASCII characters of RFC 7143 4.2.7.2 and RFC 3722 alone:
 *   letters, digits, '-', '.' and ':'. Capital letters are taken, because eui. and naa. names are written with them.
 *   The characters outside ASCII that RFC 3722 permits are refused as well.
 * - An alias is free text by the RFC. One with control characters is refused. Every other byte that is no ASCII
 *   letter, digit, '-', '.' or '_' is replaced by '_' in text, which changes nothing for the initiator.
 *
 * 0, or -EINVAL with *fault filled in. What has no zero byte at its end tgt does not take for a pair either.
 */
int initiator_check(char *text, size_t len, struct initiator_fault *fault)
	__attribute__((warn_unused_result));

#endif
