/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The messages of keyd.sock and admin.sock (docs/PROTOCOL.md).
 *
 * One SOCK_SEQPACKET record is one message: a 16-byte header, then the fields of its type, all
 * little-endian, no padding, always of the one length that belongs to the type. Strings fill their
 * field with NUL to its end and are NUL-terminated in it. Secrets are in no record: their bytes cross
 * in the connection's shared page (page.h), and the message says how many there are and where.
 */
#ifndef KEYD_PROTO_H
#define KEYD_PROTO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "cipher.h"
#include "page.h"

enum {
	PROTO_MAGIC = 0x43544754, /* "TGTC" on the wire */
	PROTO_VERSION = 2,
	PROTO_HEADER_BYTES = 16, /* magic u32, version u16, type u16, length u32, serial u32 */
	PROTO_LEVEL_BYTES =
		64,            /* level name: 1 to 63 of [A-Za-z0-9._-], not starting with . or - */
	PROTO_UUID_BYTES = 40, /* canonical lower-case text form, 36 characters */
	PROTO_CIPHER_BYTES = 32,
	PROTO_PATH_BYTES = 4096,
	PROTO_CUSTODY_BYTES = 16,
	PROTO_PASSPHRASE_BYTES = 512,
	PROTO_HASH_BYTES = 72,       /* SHA-256 in hexadecimal digits */
	PROTO_REQUEST_ID_BYTES = 16, /* of a request to destroy: 8 hexadecimal digits */
	PROTO_MESSAGE_BYTES = 512,   /* one line for people: what, and what to do */
	PROTO_TEXT_BYTES = 4096,     /* one chunk of a JSON document, or of an upload */
	PROTO_EXPORT_ID_BYTES = 24,
	PROTO_INITIATOR_BYTES = 256, /* an iSCSI name has 223 at most, RFC 7143 4.2.7 */
	PROTO_WIRE_BYTES_MAX = 8192,
};

enum proto_type {
	/* keyd.sock. c: consumer (a tgtd) to keyd. k: keyd to consumer. */
	PROTO_HELLO = 1,    /* c  first message of a connection */
	PROTO_HELLO_REPLY,  /* k  ok: carries the connection's shared page */
	PROTO_ATTACH,       /* c  asks for a volume's key and says that it will hold it */
	PROTO_ATTACH_REPLY, /* k  same serial */
	PROTO_DETACH,       /* c  the volume's key is wiped; no reply */
	PROTO_REVOKE,       /* k  wipe the keys of a level or volume now */
	PROTO_REVOKE_ACK,   /* c  same serial; none of those keys is left in this process */
	PROTO_RESTORE,      /* k  keys and records are to be asked for again with ATTACH */
	PROTO_PING,         /* c  liveness, both ways the same serial */
	PROTO_PONG,         /* k */
	PROTO_RESTORE_ACK, /* c  same serial; every volume concerned has asked, and has its answer */
	PROTO_SCRUB = 12,  /* c  buffers of data are wiped as they are freed; no reply */
	PROTO_GROWS = 13,  /* c  volumes that it has open can become larger; no reply */
	PROTO_SANITIZE,    /* c  an initiator wants a volume's key replaced */
	PROTO_SANITIZE_REPLY, /* k  same serial: refused, or the old key is destroyed */
	PROTO_HEADER, /* k  carries a memfd with the LUKS2 header that belongs to the key in the
			 ATTACH_REPLY that follows with the same serial, and is not on the medium yet */
	PROTO_HEADER_WRITTEN, /* c  that header is on the medium; no reply */
	PROTO_STORE =
		24, /* c  how long a volume's file is, or how much of it is served; no reply */

	/* admin.sock. a: keyadm to keyd. Every request is answered by TEXT*, then one REPLY. */
	PROTO_INIT = 32,        /* a */
	PROTO_STATUS,           /* a */
	PROTO_LEVEL_CREATE,     /* a */
	PROTO_LEVEL_LIST,       /* a */
	PROTO_LEVEL_SHOW,       /* a */
	PROTO_LEVEL_SUSPEND,    /* a */
	PROTO_LEVEL_RESUME,     /* a */
	PROTO_LEVEL_DESTROY,    /* a */
	PROTO_VOLUME_CREATE,    /* a  answered by VOLUME_HEADER, which waits for VOLUME_COMMIT */
	PROTO_VOLUME_COMMIT,    /* a  the header is on the medium: make the record durable */
	PROTO_VOLUME_LIST,      /* a */
	PROTO_VOLUME_SHOW,      /* a */
	PROTO_VOLUME_KEY,       /* a  answered by KEY, then REPLY */
	PROTO_VOLUME_DESTROY,   /* a */
	PROTO_AUDIT,            /* a  the whole log as JSON lines */
	PROTO_AUDIT_VERIFY,     /* a */
	PROTO_UNLOCK,           /* a  opens a store whose custody needs a passphrase */
	PROTO_INIT_PASSPHRASE,  /* a  INIT for such a custody */
	PROTO_CERTIFICATE = 50, /* a  of a destroyed level or volume, as it was signed */
	PROTO_AUDIT_VERIFY_HEAD = 51, /* a  AUDIT_VERIFY, and this record must be in the log */
	PROTO_CUSTODY_CHANGE =
		61, /* a  a new root key, maybe in another custody; PROGRESS* come first */

	PROTO_DESTROY_EMERGENCY = 52, /* a  without approval and delay */
	PROTO_REQUEST_LIST = 53,      /* a  what waits for approval or for its time */
	PROTO_REQUEST_APPROVE = 54,   /* a */
	PROTO_REQUEST_CANCEL = 55,    /* a */
	PROTO_ZEROIZE = 56,           /* a  every key of the store at once */
	PROTO_EXPORT = 57, /* a  answered by EXPORTED, TEXT*, REPLY; certificates come by UPLOAD */
	PROTO_IMPORT = 58, /* a  of what came by UPLOAD */
	PROTO_LEDGER = 59, /* a  the exports and imports */
	PROTO_VOUCH = 60,  /* a  a copy in the ledger was destroyed, says the peer */
	PROTO_VOLUME_RESIZE = 90,   /* a  may it be larger; its file is: make the record durable */
	PROTO_VOLUME_RELOCATE = 91, /* a  its file or device lies there now */

	PROTO_REPLY = 64,    /* k  ends the answer */
	PROTO_TEXT,          /* k  a chunk of the JSON answer */
	PROTO_VOLUME_HEADER, /* k  carries a memfd with the LUKS2 header to write */
	PROTO_KEY,           /* k  a volume key for disaster recovery */
	PROTO_PROGRESS = 70, /* k  how far a long request is */
	PROTO_PAGE = 71,     /* a  asks for the connection's shared page; k  carries it */
	PROTO_EXPORTED = 68, /* k  carries a memfd with the export's file */

	PROTO_UPLOAD = 80, /* a  a chunk of what EXPORT or IMPORT needs; answered by REPLY */
};

/* What REPLY, HELLO_REPLY and ATTACH_REPLY say. */
enum proto_status {
	PROTO_OK = 0,
	PROTO_DENIED,        /* the peer's credentials do not allow it */
	PROTO_NOT_FOUND,     /* no such level or volume */
	PROTO_EXISTS,        /* the name is taken */
	PROTO_INVALID,       /* a malformed or impossible request */
	PROTO_UNINITIALIZED, /* no key store yet: keyadm init */
	PROTO_SUSPENDED,     /* the level is suspended */
	PROTO_DESTROYED,     /* final */
	PROTO_MISMATCH,      /* the level asserted by the peer is not the volume's */
	PROTO_DAMAGED,       /* a key file fails its authentication */
	PROTO_BUSY,          /* another transaction on it is under way */
	PROTO_FAILED,        /* internal or I/O error */
	PROTO_UNPROVEN,      /* destroyed in the store, but a consumer did not acknowledge */
	PROTO_LOCKED,        /* the key store waits for its passphrase: keyadm unlock */
	PROTO_UNAPPROVED,    /* nothing was done: it is requested, and waits for an approval */
};

enum proto_reason { /* of REVOKE and RESTORE */
	PROTO_REASON_SUSPEND = 1,
	PROTO_REASON_DESTROY = 2,
	PROTO_REASON_RESIZE = 3,   /* of RESTORE: the volume has become larger */
	PROTO_REASON_SANITIZE = 4, /* a new key comes with RESTORE */
};

struct proto_hello {
	char program[PROTO_CUSTODY_BYTES]; /* for people, in logs */
};

struct proto_reply {     /* REPLY, HELLO_REPLY */
	uint32_t status; /* enum proto_status */
	char message[PROTO_MESSAGE_BYTES];
};

struct proto_attach {
	char uuid[PROTO_UUID_BYTES];
	char level[PROTO_LEVEL_BYTES]; /* assertion; empty: none */
	char path[PROTO_PATH_BYTES];   /* where the consumer found the volume; for the audit log */
	uint32_t key_at; /* where in the page the key is to be: a multiple of PAGE_SLOT_BYTES */
};

struct proto_attach_reply {
	uint32_t status; /* the record below is filled for OK and SUSPENDED, the key for OK only */
	uint32_t sector_bytes;
	uint64_t data_offset_bytes;
	uint64_t size_bytes; /* what initiators see */
	char uuid[PROTO_UUID_BYTES];
	char level[PROTO_LEVEL_BYTES];
	char cipher[PROTO_CIPHER_BYTES];
	char message[PROTO_MESSAGE_BYTES];
	uint32_t key_bytes;
	uint32_t key_at;
	uint8_t key[CIPHER_KEY_MAX]; /* not on the wire: in the page */
};

struct proto_volume { /* DETACH */
	char uuid[PROTO_UUID_BYTES];
};

struct proto_revoke { /* REVOKE, RESTORE */
	uint32_t reason;
	char level[PROTO_LEVEL_BYTES];
	char uuid[PROTO_UUID_BYTES]; /* empty: every volume of the level */
};

struct proto_sanitize {
	char uuid[PROTO_UUID_BYTES];
	char initiator[PROTO_INITIATOR_BYTES]; /* as the consumer knows it; empty: unknown */
};

struct proto_header {
	uint64_t header_bytes; /* length of the memfd that comes with this message */
	uint32_t number;       /* of the volume's sanitization */
	char uuid[PROTO_UUID_BYTES];
};

struct proto_store {
	uint64_t store_bytes; /* the header included */
	char uuid[PROTO_UUID_BYTES];
};

struct proto_header_written {
	uint32_t number; /* of the HEADER */
	char uuid[PROTO_UUID_BYTES];
};

struct proto_revoke_ack {
	uint32_t wiped; /* how many volume keys this consumer held */
};

struct proto_passphrase {   /* in secret memory, and wiped as soon as it was used */
	uint32_t len_bytes; /* 0: none */
	uint32_t at;
	uint8_t bytes[PROTO_PASSPHRASE_BYTES]; /* not on the wire: in the page */
};

struct proto_init {
	char custody[PROTO_CUSTODY_BYTES];
};

struct proto_init_passphrase { /* CUSTODY_CHANGE, too, where none may be given */
	char custody[PROTO_CUSTODY_BYTES];
	struct proto_passphrase passphrase;
};

struct proto_progress {
	uint32_t done;
	uint32_t total;
};

struct proto_unlock {
	struct proto_passphrase passphrase;
};

struct proto_level { /* LEVEL_*; VOLUME_LIST, where empty means all */
	char level[PROTO_LEVEL_BYTES];
};

struct proto_volume_create {
	uint64_t size_bytes;
	uint32_t sector_bytes;
	char level[PROTO_LEVEL_BYTES];
	char cipher[PROTO_CIPHER_BYTES];
	char path[PROTO_PATH_BYTES]; /* absolute, resolved by keyadm */
};

struct proto_volume_id {           /* VOLUME_SHOW, VOLUME_KEY, VOLUME_DESTROY */
	char id[PROTO_PATH_BYTES]; /* UUID; VOLUME_SHOW, too: a path on record */
};

struct proto_volume_relocate {
	char uuid[PROTO_UUID_BYTES];
	char path[PROTO_PATH_BYTES]; /* absolute, resolved by keyadm */
};

struct proto_volume_resize {
	uint64_t size_bytes; /* what initiators are to see */
	uint32_t commit; /* 1: the file is long enough, durably; 0: only tell whether it may be */
	char id[PROTO_PATH_BYTES]; /* UUID */
};

struct proto_certificate {
	char name[PROTO_LEVEL_BYTES]; /* level, or a volume's UUID */
};

struct proto_audit_head {
	uint64_t seq;
	char hash[PROTO_HASH_BYTES];
};

struct proto_emergency { /* one of the two is empty */
	char level[PROTO_LEVEL_BYTES];
	char id[PROTO_PATH_BYTES]; /* of a volume: UUID */
};

struct proto_request { /* REQUEST_APPROVE, REQUEST_CANCEL */
	char id[PROTO_REQUEST_ID_BYTES];
};

struct proto_volume_header {
	uint64_t header_bytes; /* length of the memfd that comes with this message */
	char uuid[PROTO_UUID_BYTES];
};

struct proto_text {
	uint32_t len;
	uint8_t bytes[PROTO_TEXT_BYTES]; /* the first len count, the rest is zero */
};

struct proto_key {
	uint32_t key_bytes;
	uint32_t key_at;
	uint8_t key[CIPHER_KEY_MAX]; /* not on the wire: in the page */
};

struct proto_export {
	char level[PROTO_LEVEL_BYTES];      /* empty: every level that is not destroyed */
	uint32_t threshold;                 /* the passphrase is split: so many shares are needed */
	uint32_t shares;                    /* of so many; both 0: it is not; for the ledger */
	struct proto_passphrase passphrase; /* empty: for the certificates of an upload */
};

struct proto_import {
	char level[PROTO_LEVEL_BYTES];      /* empty: all that are in it */
	uint32_t force;                     /* 1: also levels that were destroyed here */
	struct proto_passphrase passphrase; /* empty: the upload is open already */
};

struct proto_export_id { /* VOUCH */
	char id[PROTO_EXPORT_ID_BYTES];
};

struct proto_exported {
	uint64_t file_bytes; /* length of the memfd that comes with this message */
	char id[PROTO_EXPORT_ID_BYTES];
};

struct proto_upload {
	uint32_t total_bytes;  /* of all chunks; the same in each */
	uint32_t offset_bytes; /* of this one; 0 starts a new upload */
	uint32_t len;
	uint32_t at;
	uint8_t bytes[PROTO_TEXT_BYTES]; /* may be keys; not on the wire: in the page */
};

struct proto_msg {
	uint16_t type;   /* enum proto_type */
	uint32_t serial; /* chosen by the requester, echoed in the answer */
	union {
		struct proto_hello hello;
		struct proto_reply reply;
		struct proto_attach attach;
		struct proto_attach_reply attach_reply;
		struct proto_volume volume;
		struct proto_revoke revoke;
		struct proto_revoke_ack revoke_ack;
		struct proto_sanitize sanitize;
		struct proto_header header;
		struct proto_header_written header_written;
		struct proto_store store;
		struct proto_init init;
		struct proto_init_passphrase init_passphrase;
		struct proto_unlock unlock;
		struct proto_progress progress;
		struct proto_level level;
		struct proto_volume_create volume_create;
		struct proto_volume_id volume_id;
		struct proto_volume_resize volume_resize;
		struct proto_volume_relocate volume_relocate;
		struct proto_certificate certificate;
		struct proto_audit_head audit_head;
		struct proto_emergency emergency;
		struct proto_request request;
		struct proto_volume_header volume_header;
		struct proto_text text;
		struct proto_key key;
		struct proto_export export;
		struct proto_import import;
		struct proto_export_id export_id;
		struct proto_exported exported;
		struct proto_upload upload;
	};
};

/* Length on the wire, header included, of messages of this type; 0 for an unknown type. */
size_t proto_wire_bytes(uint16_t type);

/* What of a message crosses in the shared page. */
struct proto_secret {
	uint8_t *bytes; /* in the message */
	uint32_t len_bytes;
	uint32_t at; /* in the page, where it fits */
};

/*
 * The secret of msg, which proto_encode() or proto_decode() has accepted; len_bytes 0: it has none, or
 * an empty one.
 */
struct proto_secret proto_secret_of(struct proto_msg *msg);

/* For logs: "ATTACH"; "unknown" for an unknown type. Static storage. */
const char *proto_type_name(uint16_t type);

/* For people and JSON: "ok", "denied", … Static storage. */
const char *proto_status_name(uint32_t status);

/*
 * Writes msg to wire, without its secret. Returns the length, or -EINVAL (unknown type, unterminated string, a
 * count above its field, a secret outside the page) or -EMSGSIZE (cap too small). What lies in msg after a string's
 * end or after the counted bytes of a field stays here: zeros go out in its place.
 */
ssize_t proto_encode(const struct proto_msg *msg, uint8_t *wire, size_t cap)
	__attribute__((warn_unused_result));

/*
 * Reads the whole record wire[0..len) into msg, which is wholly overwritten. Returns 0 or
 * -EBADMSG (not our magic, unknown type, wrong length for the type, unterminated string, bytes
 * after a string's end or after the counted bytes of a field, a count above its field, a secret outside
 * the page), -EPROTONOSUPPORT (another version). A refused record leaves msg zeroed; the secret of
 * another is zeros.
 */
int proto_decode(const uint8_t *wire, size_t len, struct proto_msg *msg)
	__attribute__((warn_unused_result));

/* The version in a record that proto_decode() has refused for it, or proto_encode() has made. */
uint16_t proto_version_of(const uint8_t *wire);

/* Puts another version into a record that proto_encode() has made: for a refusal that its reader understands. */
void proto_set_version(uint8_t *wire, uint16_t version);

#endif
