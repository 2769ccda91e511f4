#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# SIGKILL at random moments of random commands: what was acknowledged is there, what was under way is
# done or not, what was destroyed stays so. KILLS says how many, SEED repeats a run's choices.
exec python3 "${0%/*}/kills.py" --build "${BUILD:-build}" ${KILLS:+--kills "$KILLS"} ${SEED:+--seed "$SEED"}
