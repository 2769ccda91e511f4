/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Who else uses a file or block device: before something is written over it.
 */
#ifndef KEYD_KEYADM_USERS_H
#define KEYD_KEYADM_USERS_H

/*
 * Refuses the regular file or block device fd (opened for writing; a block device with O_EXCL), which path names in the
 * message, if anything else has it open: a process, a loop device, a swap area. A kernel that grants a lease on a file says
 * that there is no other opener. Where it does not (a block device, a network file system), processes are looked
 * through; of other users' processes only root sees the files. 0, or -EBUSY, reported with the name of the user.
 */
int keyadm_refuse_in_use(int fd, const char *path) __attribute__((warn_unused_result));

#endif
