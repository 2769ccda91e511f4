/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The subcommands of iscsi-io, the initiator of the tests. */
#ifndef TESTS_ISCSI_IO_H
#define TESTS_ISCSI_IO_H

/* What every subcommand returns, and iscsi-io exits with. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* no connection, or data that should not be */
	EXIT_USAGE = 2,
	EXIT_SCSI = 3, /* the target answered with a status other than GOOD, and it is shown */
};

/* Each gets its own name as argv[0] and the LUN's URL as argv[1]. */
int io_capacity(int argc, char **argv);
int io_read(int argc, char **argv);
int io_write(int argc, char **argv);
int io_flush(int argc, char **argv);
int io_cdb(int argc, char **argv);
int io_talk(int argc, char **argv);
int io_stress(int argc, char **argv);
int io_check(int argc, char **argv);
int io_speed(int argc, char **argv);
int io_count(int argc, char **argv);
int io_race(int argc, char **argv);

#endif
