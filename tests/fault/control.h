/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The test's side of faulty.h. */
#ifndef TESTS_CONTROL_H
#define TESTS_CONTROL_H

#include "faulty.h"

/* Maps the file at path, made when it is not there, and aims at image. NULL with a line on stderr. */
struct faulty *control_open(const char *path, const char *image);

/* All counters to zero, and the plan holds from now on. Nothing may be under way on the file. */
void control_arm(struct faulty *control, const struct fault_plan *plan);

/* Nothing is struck any more, and what hung has gone on when this returns. */
void control_disarm(struct faulty *control);

void control_zero(struct faulty *control);

#endif
