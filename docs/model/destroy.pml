/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The session and destroy protocol of keyd and its tgtds, for spin. README.md beside this file says what
 * is modelled, what is not, and how to read a counterexample. A name followed by "@ FILE" in a comment is
 * the function that the step stands for; the test looks each of them up.
 *
 * One level with one volume. Every handler of keyd is atomic, as in its one thread, but keyd may crash
 * between any two of its durable steps (CRASH_POINT) and between handlers.
 */

/* --- Bounds: how often each may happen in one run ------------------------------------------------- */

#ifndef TGTDS
#define TGTDS 2
#endif
#ifndef KEYD_CRASHES
#define KEYD_CRASHES 1
#endif
#ifndef LOST_CONNECTIONS /* a tgtd drops its connection by itself; crashes break connections as well */
#define LOST_CONNECTIONS 1
#endif
#ifndef TGTD_FAULTS /* a tgtd is killed, or stops for ever with what it holds */
#define TGTD_FAULTS 1
#endif
#ifndef OPENS /* of a LUN, for each tgtd */
#define OPENS 1
#endif
#ifndef CLOSES /* of a LUN, for all */
#define CLOSES 1
#endif
#ifndef SUSPENSIONS /* and as many resumptions, before the level is destroyed */
#define SUSPENSIONS 0
#endif
#ifndef ROOM /* messages in a socket's buffer, each way */
#define ROOM 3
#endif

/* --- The wire: protocol of keyd.sock ---------------------------------------------------------------- */

mtype = {HELLO, HELLO_REPLY, ATTACH, ATTACH_REPLY, DETACH, REVOKE, REVOKE_ACK, RESTORE, RESTORE_ACK};

/* What an ATTACH_REPLY says. */
#define OK_WITH_KEY 1
#define SUSPENDED   2
#define DESTROYED   3

/* A tgtd has two sockets at most: its connection, and the one before that keyd has not done with. */
#if TGTDS == 2
#define SOCKETS  4
#define SESSIONS 6
#elif TGTDS == 3
#define SOCKETS  6
#define SESSIONS 9
#endif
#define NO_SOCKET     255
#define OWNER(s)      ((s) / 2)
#define FORMER(t)     (SOCKETS + (t)) /* the session of a broken connection: only its process is watched */
#define BIT(c)        (1 << (c))
#define HAS(mask, c)  (((mask) >> (c)) & 1)
#define ANY(mask, t)  (((((mask) >> (2 * (t))) & 3) || HAS(mask, FORMER(t))) -> BIT(t) : 0)
#if TGTDS == 2
#define PROCESSES(mask) (ANY(mask, 0) | ANY(mask, 1))
#elif TGTDS == 3
#define PROCESSES(mask) (ANY(mask, 0) | ANY(mask, 1) | ANY(mask, 2))
#endif

chan to_keyd[SOCKETS] = [ROOM] of {mtype, byte};
chan to_tgtd[SOCKETS] = [ROOM] of {mtype, byte};

/* --- What is durable --------------------------------------------------------------------------------- */

bool level_key = true, volume_key = true; /* the files */
bool level_suspended;                     /* the state in level.key */
#define NO_INTENT 0
#define REVOKING  1
#define ERASING   2
byte intent;                              /* destroy.intent */
unsigned intent_missing : TGTDS;          /* who did not confirm, in its draft of the certificate */
bool tombstone;
bool certificate;
unsigned certificate_missing : TGTDS;
unsigned holders : TGTDS;                 /* the file of that name */

/* --- keyd's memory: all of it is lost in a crash ----------------------------------------------------- */

#define KEY_ACTIVE     0
#define KEY_SUSPENDED  1
#define KEY_DESTROYING 2
#define KEY_DESTROYED  3
#define KEY_DAMAGED    4

bool keyd_runs;
byte state;                           /* of the level */
bool busy;
unsigned open_fd : SOCKETS;           /* sessions by their sockets: connection not closed by keyd yet, */
unsigned greeted : SOCKETS;
unsigned ending : SOCKETS;
unsigned held : SESSIONS;             /* the process may hold the key, by session: sockets, then formers */
mtype rev_type;                       /* the revocation under way: REVOKE, RESTORE; 0: none */
bool rev_destroys;
byte rev_serial;
unsigned rev_waits : SESSIONS;        /* targets without an answer, by session */
byte next_serial;
bool erasing;                         /* struct destroy: the consumers have answered */
unsigned draft_missing : TGTDS;
byte told[SOCKETS];                   /* consumer_note_revoke(): the last REVOKE sent over it */

/* --- The tgtds ---------------------------------------------------------------------------------------- */

bool runs[TGTDS] = true;              /* the process exists */
bool hung[TGTDS];                  /* for ever, with what it holds */
byte at[TGTDS] = NO_SOCKET;           /* its connection; NO_SOCKET: closed at its end */
bool key[TGTDS];                      /* key schedules in its memory */
bool waits_for_answer[TGTDS];

/* --- What is left of the budgets, and what only the properties look at --------------------------------- */

byte crashes_left = KEYD_CRASHES, lost_left = LOST_CONNECTIONS, faults_left = TGTD_FAULTS;
byte closes_left = CLOSES, suspensions_left = SUSPENSIONS;
bool backup_left = true;              /* old key files may be put back once, while keyd is down */
bool no_way_back;                     /* the intent was durable, or a tgtd has been told of it */
bool suspension_confirmed;            /* told the administrator so, and not resumed since */

#define KEY_COMES(s) (at[OWNER(s)] == (s) && to_tgtd[s]??[ATTACH_REPLY, OK_WITH_KEY])
#define KEY_AT(t)    (runs[t] && (key[t] || KEY_COMES(2 * (t)) || KEY_COMES(2 * (t) + 1)))
#if TGTDS == 2
#define KEY_AT_ANY (KEY_AT(0) || KEY_AT(1))
#define UNNAMED    (KEY_AT(0) && !HAS(certificate_missing, 0) || KEY_AT(1) && !HAS(certificate_missing, 1))
#define SETTLED    (TGTD_SETTLED(0) && TGTD_SETTLED(1))
#elif TGTDS == 3
#define KEY_AT_ANY (KEY_AT(0) || KEY_AT(1) || KEY_AT(2))
#define UNNAMED                                                                                       \
	(KEY_AT(0) && !HAS(certificate_missing, 0) || KEY_AT(1) && !HAS(certificate_missing, 1) ||    \
		KEY_AT(2) && !HAS(certificate_missing, 2))
#define SETTLED (TGTD_SETTLED(0) && TGTD_SETTLED(1) && TGTD_SETTLED(2))
#endif
#define TGTD_SETTLED(t) (!runs[t] || hung[t] || !waits_for_answer[t])
#define ALL_CONFIRMED (certificate && certificate_missing == 0)
#define COMPLETE                                                                                      \
	(certificate && tombstone && intent == NO_INTENT && state == KEY_DESTROYED && !busy && !rev_type)

/* Named so that spin's message tells which promise is broken. */
bool a_key_outlives_the_confirmation = true, an_unconfirmed_tgtd_is_not_named = true;
bool a_key_file_outlives_the_certificate = true, a_key_outlives_the_suspension = true;

active proctype properties()
{
end:	if
	:: ALL_CONFIRMED && KEY_AT_ANY -> assert(!a_key_outlives_the_confirmation)
	:: certificate && UNNAMED -> assert(!an_unconfirmed_tgtd_is_not_named)
	:: certificate && backup_left && (level_key || volume_key) ->
		assert(!a_key_file_outlives_the_certificate)
#if SUSPENSIONS
	:: suspension_confirmed && KEY_AT_ANY -> assert(!a_key_outlives_the_suspension)
#endif
#ifndef UNFINISHED_IS_FINE
	/* Nothing can happen any more. */
	:: timeout -> atomic {
		assert(COMPLETE);
		assert(SETTLED)
	}
#endif
	fi
}

/* --- Sockets ------------------------------------------------------------------------------------------ */

#define CRASH_POINT                                                                                   \
	if                                                                                            \
	:: crashes_left > 0 -> goto crash                                                             \
	:: true                                                                                       \
	fi

inline drain(c)
{
	do
	:: nempty(c) -> c?_, _
	:: empty(c) -> break
	od
}

/* session_send() @ keyd/session.c: there is room, or the session ends; keyd waits for nobody. */
inline session_send(s, what, with)
{
	if
	:: !HAS(open_fd, s) || HAS(ending, s) -> skip
	:: HAS(open_fd, s) && !HAS(ending, s) && at[OWNER(s)] != s -> ending = ending | BIT(s)
	:: HAS(open_fd, s) && !HAS(ending, s) && at[OWNER(s)] == s ->
		if
		:: full(to_tgtd[s]) -> ending = ending | BIT(s)
		:: nfull(to_tgtd[s]) -> to_tgtd[s]!what, with
		fi
	fi
}

/* --- keyd: revocation.c -------------------------------------------------------------------------------- */

/* tell() @ keyd/revocation.c. The serial and the reason travel as one number. */
inline tell(s)
{
	if
	:: rev_type == REVOKE -> told[s] = rev_serial /* consumer_note_revoke() @ keyd/consumer.c */
	:: else
	fi;
	session_send(s, rev_type, 2 * rev_serial + rev_destroys);
	if
	:: rev_destroys -> no_way_back = true
	:: else
	fi
}

/* revocation_start(), add_target(), may_hold() @ keyd/revocation.c: the policy lets every tgtd fetch. */
inline revocation_start(what, destroys)
{
	next_serial++;
	rev_serial = next_serial;
	rev_type = what;
	rev_destroys = destroys;
	rev_waits = 0;
	for (k : 0 .. SOCKETS - 1) {
		if
		:: HAS(open_fd, k) && HAS(greeted, k) ->
			rev_waits = rev_waits | BIT(k);
			tell(k)
		:: else
		fi
	}
#ifndef MISTAKE_disconnected_not_waited_for
	if
	:: what == REVOKE -> rev_waits = rev_waits | (held & ~(BIT(SOCKETS) - 1))
	:: else
	fi;
#endif
	k = 0
}

/* revocation_on_hello() @ keyd/revocation.c */
inline revocation_on_hello(s)
{
	if
	:: rev_type == REVOKE || rev_type == RESTORE && HAS(rev_waits, s) ->
		rev_waits = rev_waits | BIT(s);
		tell(s)
	:: else
	fi
}

/* revocation_replace() @ keyd/revocation.c: the new connection answers for the former one. */
inline revocation_replace(s)
{
	if
	:: HAS(rev_waits, FORMER(OWNER(s))) ->
		rev_waits = (rev_waits & ~BIT(FORMER(OWNER(s)))) | BIT(s)
	:: else
	fi
}

/* end() @ keyd/revocation.c: all have answered, or the deadline is past. */
inline end_of_revocation()
{
	rev_type = 0;
	missing = PROCESSES(rev_waits);
	rev_waits = 0;
#ifdef MISTAKE_timeout_taken_for_an_answer
	missing = 0;
#endif
	if
	:: rev_destroys -> on_destroy_revoked()
	:: else -> /* on_revoked(), on_restored() @ keyd/suspend.c */
		suspension_confirmed = state == KEY_SUSPENDED && missing == 0;
		busy = false
	fi;
	missing = 0;
	rev_serial = 0;
	rev_destroys = false
}

/* --- keyd: consumer.c and holders.c ---------------------------------------------------------------------- */

/* holders_save() @ keyd/holders.c */
inline holders_save()
{
	CRASH_POINT;
	holders = PROCESSES(held);
	CRASH_POINT
}

/* holders_load() @ keyd/holders.c: a process that still runs is a consumer whose connection broke. */
inline holders_load()
{
#ifndef MISTAKE_holders_forgotten_in_a_restart
	for (k : 0 .. TGTDS - 1) {
		if
		:: HAS(holders, k) && runs[k] -> held = held | BIT(FORMER(k))
		:: else
		fi
	}
	k = 0;
#endif
	holders_save()
}

/* inherit() @ keyd/consumer.c. A connection whose end keyd has not seen yet is not inherited from. */
inline inherit(s)
{
	if
	:: HAS(held, FORMER(OWNER(s))) ->
#ifdef MISTAKE_reconnected_tgtd_starts_anew
		rev_waits = rev_waits & ~BIT(FORMER(OWNER(s)));
#else
		held = held | BIT(s);
		revocation_replace(s);
#endif
		held = held & ~BIT(FORMER(OWNER(s)))
	:: else
	fi
}

/* on_hello() @ keyd/consumer.c */
inline on_hello(s)
{
	greeted = greeted | BIT(s);
	inherit(s);
	session_send(s, HELLO_REPLY, 0);
#ifndef MISTAKE_reconnected_tgtd_starts_anew
	if
	:: !HAS(ending, s) -> revocation_on_hello(s)
	:: else
	fi
#endif
}

/* on_attach(), check_attach(), release_key() @ keyd/consumer.c */
inline on_attach(s)
{
	if
#ifdef MISTAKE_key_given_while_destroying
	:: state == KEY_ACTIVE || state == KEY_DESTROYING ->
#else
	:: state == KEY_ACTIVE ->
#endif
		assert(level_key && volume_key); /* else release_key() refuses */
#ifdef MISTAKE_key_sent_before_the_holder_is_recorded
		assert(!no_way_back);
		session_send(s, ATTACH_REPLY, OK_WITH_KEY);
#endif
		if
		:: !HAS(held, s) ->
			held = held | BIT(s);
			holders_save()
		:: else
		fi;
#ifndef MISTAKE_key_sent_before_the_holder_is_recorded
		assert(!no_way_back); /* no resurrection */
		session_send(s, ATTACH_REPLY, OK_WITH_KEY);
#endif
	:: state == KEY_SUSPENDED -> session_send(s, ATTACH_REPLY, SUSPENDED)
#ifdef MISTAKE_key_given_while_destroying
	:: state == KEY_DESTROYED || state == KEY_DAMAGED ->
#else
	:: state == KEY_DESTROYING || state == KEY_DESTROYED || state == KEY_DAMAGED ->
#endif
		session_send(s, ATTACH_REPLY, DESTROYED)
	fi
}

/* on_detach() @ keyd/consumer.c */
inline on_detach(s)
{
	held = held & ~BIT(s)
}

/* drop_revoked() @ keyd/consumer.c */
inline drop_revoked(s, number)
{
	if
#ifdef MISTAKE_late_answer_taken_for_the_last
	:: state != KEY_ACTIVE && state != KEY_DAMAGED && !rev_type ->
#else
	:: state != KEY_ACTIVE && state != KEY_DAMAGED && !rev_type && number / 2 == told[s] ->
#endif
		held = held & ~BIT(s)
	:: else
	fi
}

/* on_revoke_ack(), on_restore_ack() @ keyd/consumer.c, revocation_on_ack() @ keyd/revocation.c */
inline on_ack(s, acknowledges, number)
{
	if
#ifdef MISTAKE_serial_of_an_answer_not_compared
	:: rev_type == acknowledges && HAS(rev_waits, s) ->
#else
	:: rev_type == acknowledges && number / 2 == rev_serial && HAS(rev_waits, s) ->
#endif
		rev_waits = rev_waits & ~BIT(s);
		if
		:: acknowledges == REVOKE -> held = held & ~BIT(s)
		:: else
		fi
	:: else ->
		if
		:: acknowledges == REVOKE -> drop_revoked(s, number)
		:: else
		fi
	fi
}

/* on_message() @ keyd/consumer.c, receive() @ keyd/server.c: one message, or the end of the connection. */
inline receive(s)
{
	if
	:: empty(to_keyd[s]) -> ending = ending | BIT(s)
	:: nempty(to_keyd[s]) ->
		to_keyd[s]?what, number;
		if
		:: what == HELLO -> on_hello(s)
		:: what == ATTACH -> on_attach(s)
		:: what == DETACH -> on_detach(s)
		:: what == REVOKE_ACK -> on_ack(s, REVOKE, number)
		:: what == RESTORE_ACK -> on_ack(s, RESTORE, number)
		fi
	fi;
	what = 0;
	number = 0;
	s = 0
}

/*
 * on_closed() @ keyd/consumer.c, with revocation_on_exit() and revocation_on_close() @ keyd/revocation.c.
 * A session that stays moves from its socket's place to that of its process's former one.
 */
inline on_closed(s)
{
	if
	:: !runs[OWNER(s)] || !HAS(held, s) -> rev_waits = rev_waits & ~BIT(s)
	:: runs[OWNER(s)] && HAS(held, s) ->
		held = held | BIT(FORMER(OWNER(s)));
		if
		:: HAS(rev_waits, s) ->
#ifndef MISTAKE_disconnected_not_waited_for
			rev_waits = rev_waits | BIT(FORMER(OWNER(s)));
#endif
			rev_waits = rev_waits & ~BIT(s)
		:: else
		fi
	fi;
	held = held & ~BIT(s);
	told[s] = 0;
	greeted = greeted & ~BIT(s)
}

/* reap() @ keyd/server.c */
inline reap()
{
	for (k : 0 .. SOCKETS - 1) {
		if
		:: HAS(ending, k) ->
			open_fd = open_fd & ~BIT(k);
			drain(to_keyd[k]);
			on_closed(k)
		:: else
		fi
	}
	k = 0;
	ending = 0
}

/* on_exit_of_process() @ keyd/consumer.c, revocation_on_exit() @ keyd/revocation.c */
inline on_exit_of_process(t)
{
	held = held & ~BIT(FORMER(t));
	rev_waits = rev_waits & ~BIT(FORMER(t))
}

/* --- keyd: suspend.c, destroy.c and erasure.c --------------------------------------------------------------- */

/* request_level_suspend() @ keyd/admin/admin_levels.c, suspend_start() @ keyd/suspend.c */
inline request_level_suspend()
{
	suspensions_left--;
	CRASH_POINT;
	level_suspended = true; /* keystore_level_set_state() @ keyd/store/keystore_keys.c */
	CRASH_POINT;
	state = KEY_SUSPENDED;
	busy = true;
	revocation_start(REVOKE, false)
}

/* request_level_resume() @ keyd/admin/admin_levels.c, resume_start() @ keyd/suspend.c */
inline request_level_resume()
{
	suspension_confirmed = false;
	CRASH_POINT;
	level_suspended = false;
	CRASH_POINT;
	state = KEY_ACTIVE;
	busy = true;
	revocation_start(RESTORE, false)
}

/* erasure_write_intent() @ keyd/destroy/erasure.c: durable, so there is no way back. */
inline erasure_write_intent(phase)
{
	CRASH_POINT;
	intent = phase;
#ifndef MISTAKE_intent_forgets_the_answers
	intent_missing = draft_missing;
#endif
	no_way_back = true;
	CRASH_POINT
}

/* begin() @ keyd/destroy/destroy.c */
inline begin(erase)
{
	state = KEY_DESTROYING;
	busy = true;
	erasing = erase;
	if
	:: !erasing -> revocation_start(REVOKE, true)
	:: else
	fi
}

/* request_level_destroy() @ keyd/admin/admin_levels.c, destroy_start(), declare(), write_intent() @ keyd/destroy/destroy.c */
inline destroy_start()
{
	CRASH_POINT; /* audit_append() @ keyd/records/audit_repeats.c */
#ifndef MISTAKE_intent_written_after_the_revocation
	erasure_write_intent(REVOKING);
#endif
	begin(false)
}

/* on_revoked() @ keyd/destroy/destroy.c, revocation_certify() @ keyd/revocation.c */
inline on_destroy_revoked()
{
	draft_missing = draft_missing | missing;
	erasure_write_intent(ERASING);
	erasing = true
}

/* erasure_remove_intent() @ keyd/destroy/erasure.c */
inline erasure_remove_intent()
{
	CRASH_POINT;
	intent = NO_INTENT;
	intent_missing = 0
}

/* end(), answer_done() @ keyd/destroy/destroy.c: the certificate is durable. */
inline end_of_destroy()
{
	CRASH_POINT; /* audit_end() @ keyd/destroy/destroy.c */
	erasure_remove_intent();
#ifdef MISTAKE_tombstone_written_last
	CRASH_POINT;
	tombstone = true;
#endif
	CRASH_POINT;
	state = KEY_DESTROYED; /* set_state() @ keyd/destroy/destroy.c: nobody sees its order with the intent's end */
	busy = false;          /* unlink_destroy() @ keyd/destroy/destroy.c */
	erasing = false;
	draft_missing = 0
}

/* finish(), complete() @ keyd/destroy/destroy.c */
inline finish()
{
#ifndef MISTAKE_tombstone_written_last
	CRASH_POINT;
	tombstone = true; /* erasure_write_tombstone() @ keyd/destroy/erasure.c */
#endif
#ifdef MISTAKE_intent_removed_before_the_certificate
	erasure_remove_intent();
#endif
	CRASH_POINT;
	certificate = true; /* erasure_write_certificate() @ keyd/destroy/erasure.c */
	certificate_missing = draft_missing;
	end_of_destroy()
}

/* destroy_step() @ keyd/destroy/destroy.c, erasure_step(), visit_level_keys(), visit_level() @ keyd/destroy/erasure.c */
inline destroy_step()
{
	CRASH_POINT;
	level_key = false;
	CRASH_POINT;
	volume_key = false;
	finish()
}

/* destroy_resume_all(), resume(), from_intent() @ keyd/destroy/destroy.c */
inline destroy_resume_all()
{
#ifdef MISTAKE_intent_not_looked_for_in_a_restart
	skip
#else
	if
	:: intent != NO_INTENT && certificate -> end_of_destroy()
	:: intent != NO_INTENT && !certificate ->
		draft_missing = intent_missing;
		begin(intent == ERASING)
	:: else
	fi
#endif
}

/* keystore_open() @ keyd/store/keystore.c, visit_level() @ keyd/store/keystore_load.c: a tombstone wins, then an intent. */
inline keystore_open()
{
	if
	:: tombstone -> state = KEY_DESTROYED
	:: !tombstone && intent != NO_INTENT -> state = KEY_DESTROYING
	:: !tombstone && intent == NO_INTENT ->
		if
		:: level_key && volume_key -> state = (level_suspended -> KEY_SUSPENDED : KEY_ACTIVE)
		:: else -> state = KEY_DAMAGED
		fi
	fi
}

inline forget_everything()
{
	keyd_runs = false;
	state = KEY_ACTIVE;
	busy = false;
	open_fd = 0;
	greeted = 0;
	ending = 0;
	held = 0;
	rev_type = 0;
	rev_destroys = false;
	rev_serial = 0;
	rev_waits = 0;
	next_serial = 0;
	erasing = false;
	draft_missing = 0;
	missing = 0;
	what = 0;
	number = 0;
	s = 0;
	for (k : 0 .. SOCKETS - 1) {
		drain(to_keyd[k]);
		told[k] = 0
	}
	k = 0
}

#define TO_READ(s) (HAS(open_fd, s) && !HAS(ending, s) && (nempty(to_keyd[s]) || at[OWNER(s)] != s))
#if TGTDS == 2
#define ANY_TO_READ (TO_READ(0) || TO_READ(1) || TO_READ(2) || TO_READ(3))
#elif TGTDS == 3
#define ANY_TO_READ                                                                                   \
	(TO_READ(0) || TO_READ(1) || TO_READ(2) || TO_READ(3) || TO_READ(4) || TO_READ(5))
#endif
#define GONE(t)    (HAS(held, FORMER(t)) && !runs[t])

/* loop(), tick(), serve_events() @ keyd/server.c. Ended sessions are reaped before tick() does anything. */
active proctype keyd()
{
	byte s, k, number;
	mtype what;
	unsigned missing : TGTDS;

start:	/* run() @ keyd/main.c, server_run() @ keyd/server.c */
	atomic {
		keystore_open();
		holders_load();
		destroy_resume_all();
		keyd_runs = true
	};
end:	do
	:: atomic {
		ANY_TO_READ ->
		if
		:: TO_READ(0) -> s = 0
		:: TO_READ(1) -> s = 1
		:: TO_READ(2) -> s = 2
		:: TO_READ(3) -> s = 3
#if TGTDS == 3
		:: TO_READ(4) -> s = 4
		:: TO_READ(5) -> s = 5
#endif
		fi;
		receive(s)
	}
	:: atomic { ending -> reap() }
	:: atomic { GONE(0) -> on_exit_of_process(0) }
	:: atomic { GONE(1) -> on_exit_of_process(1) }
#if TGTDS == 3
	:: atomic { GONE(2) -> on_exit_of_process(2) }
#endif
	/* revocation_tick(), can_end() @ keyd/revocation.c: the deadline may be past at any time. */
#ifdef MISTAKE_waits_for_ever
	:: atomic { rev_type && !ending && !rev_waits -> end_of_revocation() }
#else
	:: atomic { rev_type && !ending -> end_of_revocation() }
#endif
	:: atomic { erasing && !ending -> destroy_step() }
	/* Requests on admin.sock; request_level_is_unfit() @ keyd/admin/admin_levels.c. Asked again only if nothing came of it. */
	:: atomic { !busy && state != KEY_DESTROYED && !no_way_back -> destroy_start() }
	:: atomic {
		suspensions_left && !busy && !no_way_back && (state == KEY_ACTIVE || state == KEY_SUSPENDED) ->
		request_level_suspend()
	}
	:: atomic { !busy && state == KEY_SUSPENDED -> request_level_resume() }
	:: crashes_left > 0 -> goto crash
	od;

crash:	atomic {
		crashes_left--;
		forget_everything()
	};
	if
	:: true
	:: atomic { /* somebody puts old key files back: a tombstone has to win over them */
		backup_left ->
		backup_left = false;
		level_key = true;
		volume_key = true
	}
	fi;
	goto start
}

/* --- tgtd: keysession.c and volume.c --------------------------------------------------------------------------- */

/* keysession_go_offline() @ bs_crypt/keymessages.c: what was on its way is lost, here; keyd may still read what was sent. */
inline go_offline()
{
	drain(to_tgtd[at[t]]);
	at[t] = NO_SOCKET;
	online = false;
	waits_for_answer[t] = false;
	restore = 0
}

/* send_message() @ bs_crypt/keymessages.c, with room for it; the connection may be broken. */
inline send_message(what, with)
{
	if
	:: HAS(open_fd, at[t]) -> to_keyd[at[t]]!what, with
	:: else -> go_offline()
	fi
}

/* try_connect() @ bs_crypt/keysession.c, keyconnect_open(), say_hello() @ bs_crypt/keyconnect.c, add_session() @ keyd/server.c */
inline try_connect(s)
{
	at[t] = s;
	open_fd = open_fd | BIT(s);
	to_keyd[s]!HELLO, 0
}

/* on_attach_reply(), apply_answer() @ bs_crypt/keymessages.c, volume_key_apply() @ bs_crypt/volume_key.c */
inline on_attach_reply(status)
{
	waits_for_answer[t] = false;
	known = known || status != DESTROYED;
	key[t] = status == OK_WITH_KEY && !destroyed;
	destroyed = destroyed || status == DESTROYED;
	if
	:: restore && !attach_due ->
		send_message(RESTORE_ACK, restore);
		restore = 0
	:: else
	fi
}

/* on_revoke(), concerns() @ bs_crypt/keymessages.c, volume_key_wipe() @ bs_crypt/volume_key.c */
inline on_revoke(number)
{
#ifdef MISTAKE_acknowledged_before_the_wipe
	send_message(REVOKE_ACK, number);
	wipe_due = known
#else
	if
	:: known ->
		key[t] = false;
		destroyed = destroyed || number % 2
	:: else
	fi;
	send_message(REVOKE_ACK, number)
#endif
}

/* on_restore(), ack_restore() @ bs_crypt/keymessages.c */
inline on_restore(number)
{
	if
	:: known ->
		attach_due = true;
		restore = number
	:: else -> send_message(RESTORE_ACK, number)
	fi
}

/* keysession_receive(), dispatch() @ bs_crypt/keymessages.c */
inline dispatch()
{
	to_tgtd[at[t]]?what, number;
	if
	:: what == HELLO_REPLY ->
		online = true;
		attach_due = true
	:: what == ATTACH_REPLY -> on_attach_reply(number)
	:: what == REVOKE -> on_revoke(number)
	:: what == RESTORE -> on_restore(number)
	fi;
	what = 0;
	number = 0
}

/* send_attach(), attach_those() @ bs_crypt/keymessages.c */
inline send_attach()
{
	attach_due = false;
	waits_for_answer[t] = true;
	send_message(ATTACH, 0)
}

/* keysession_leave(), session_end() @ bs_crypt/keysession.c, keysession_send_detach() @ bs_crypt/keymessages.c: the only LUN, so the session ends. */
inline keysession_leave()
{
	lun = false;
	key[t] = false;
	known = false;
	destroyed = false;
	attach_due = false;
	if
	:: at[t] != NO_SOCKET ->
		if
		:: online && HAS(open_fd, at[t]) -> to_keyd[at[t]]!DETACH, 0
		:: else
		fi;
		go_offline()
	:: else
	fi
}

#define CONNECTED (at[t] != NO_SOCKET)
#define TO_SEND   (nfull(to_keyd[at[t]]))

/* run_session() @ bs_crypt/keysession.c */
proctype tgtd(byte t)
{
	byte opens_left = OPENS, number, restore;
	mtype what;
	bool lun;        /* open: keysession_join() was called */
	bool known;      /* struct volume: keyd's record has been seen */
	bool destroyed;  /* struct volume: VOLUME_DESTROYED is final */
	bool online, attach_due;
#ifdef MISTAKE_acknowledged_before_the_wipe
	bool wipe_due;
#endif

end:	do
	/* keysession_join(), wait_for_answer() @ bs_crypt/keysession.c */
	:: atomic {
		!lun && opens_left > 0 ->
		if /* whoever opens first is tgtd 0, and so on: they are all alike */
		:: opens_left == OPENS && t + 1 < TGTDS -> run tgtd(t + 1)
		:: else
		fi;
		opens_left--;
		lun = true;
		attach_due = true
	}
	:: atomic { lun && closes_left > 0 && (!CONNECTED || TO_SEND) -> closes_left--; keysession_leave() }
	:: atomic { lun && !CONNECTED && keyd_runs && !HAS(open_fd, 2 * t) -> try_connect(2 * t) }
	:: atomic {
		lun && !CONNECTED && keyd_runs && HAS(open_fd, 2 * t) && !HAS(open_fd, 2 * t + 1) ->
		try_connect(2 * t + 1)
	}
	:: atomic { CONNECTED && nempty(to_tgtd[at[t]]) && TO_SEND -> dispatch() }
	:: atomic { CONNECTED && empty(to_tgtd[at[t]]) && !HAS(open_fd, at[t]) -> go_offline() }
	:: atomic { CONNECTED && lost_left > 0 -> lost_left--; go_offline() }
	:: atomic { CONNECTED && online && attach_due && !waits_for_answer[t] && TO_SEND -> send_attach() }
	:: atomic { !CONNECTED && key[t] -> key[t] = false } /* expire_grace() @ bs_crypt/keysession.c */
#ifdef MISTAKE_acknowledged_before_the_wipe
	:: atomic { wipe_due -> wipe_due = false; key[t] = false }
#endif
	/* It is killed, with all it holds, or it stops for ever and keeps it. */
	:: atomic {
		faults_left > 0 && (lun || CONNECTED) ->
		faults_left--;
		runs[t] = false;
		key[t] = false;
		if
		:: CONNECTED -> go_offline()
		:: else
		fi;
		break
	}
	:: atomic { faults_left > 0 && (CONNECTED || key[t]) -> faults_left--; hung[t] = true; break }
	od
}

init {
	run tgtd(0)
}
