#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# A crash of the machine at every step of what keyd writes, with all that a disk may make of it: the
# key store is as before or as afterwards, and after the answer never again as before.
# SEED repeats a run, VARIANTS is how many disks a step has at most, ONLY names a scenario.
exec python3 "${0%/*}/sweep.py" --build "${BUILD:-build}" ${SEED:+--seed "$SEED"} \
	${VARIANTS:+--variants "$VARIANTS"} ${ONLY:+--only "$ONLY"}
