/*
 * mailbox - how one thread is told something by the others: a many-to-one queue with a wake-up.
 *
 * A message is part of whatever it is about, so posting allocates nothing and cannot fail. The
 * wake-up is an eventfd and is skipped while the reader is awake.
 *
 * Ownership:  the poster gives the message away until its run() is called; run() may free or
 * re-post it. Threads:    mailbox_post() from any; the rest only on the reader's thread. Messages
 * of one poster are run in the order posted.
 */
#ifndef COMMON_BASE_MAILBOX_H
#define COMMON_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

struct msg {
    struct msg *next;          /* the mailbox's while posted */
    void (*run)(struct msg *); /* called on the reader's thread, once per post */
};

struct mailbox {
    _Atomic(struct msg *) head; /* [a] newest first */
    atomic_bool sleeping;       /* [a] the reader waits on wake_fd */
    int wake_fd;                /* [I] readable when there is reason to wake up */
};

void mailbox_init(struct mailbox *mailbox);
/* Messages still inside are not run. */
void mailbox_fini(struct mailbox *mailbox);

void mailbox_post(struct mailbox *mailbox, struct msg *msg);

/* Runs all that has been posted so far, oldest first; returns how many. */
int mailbox_run(struct mailbox *mailbox);
/* To be called just before waiting on wake_fd: false when something is there already, so do not
 * wait. */
bool mailbox_sleep(struct mailbox *mailbox);
/* To be called after waiting, for whatever reason it ended; empties wake_fd. */
void mailbox_wake(struct mailbox *mailbox);
/* The same for who watches wake_fd edge-triggered, and so need not empty it: no system call. */
void mailbox_awake(struct mailbox *mailbox);
/* Waits up to timeout_ms (-1: for ever) and runs what comes: the whole loop of a thread without
 * other events. Returns how many were run. */
int mailbox_wait(struct mailbox *mailbox, int timeout_ms);

#endif
