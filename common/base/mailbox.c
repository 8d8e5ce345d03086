/*
 * Posters push onto a stack with one compare-and-swap; the reader takes the whole stack with one
 * exchange and turns it round. A poster writes the eventfd only when it is the one that finds the
 * reader asleep.
 *
 * The sleep protocol is Dekker's: the reader stores sleeping and then looks at head; a poster
 * stores head and then looks at sleeping. Both pairs are sequentially consistent, so at least one
 * sees the other.
 */
#include "common/base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->head, NULL);
    atomic_init(&mailbox->sleeping, false);
    mailbox->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->wake_fd < 0) {
        perror("eventfd");
        abort();
    }
}

void mailbox_fini(struct mailbox *mailbox)
{
    close(mailbox->wake_fd);
    mailbox->wake_fd = -1;
}

void mailbox_post(struct mailbox *mailbox, struct msg *msg)
{
    struct msg *head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);

    assert(msg->run != NULL);
    do {
        msg->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, msg,
                                                    memory_order_seq_cst, memory_order_relaxed));
    if (atomic_load_explicit(&mailbox->sleeping, memory_order_seq_cst) &&
        atomic_exchange_explicit(&mailbox->sleeping, false, memory_order_seq_cst)) {
        uint64_t one = 1;

        while (write(mailbox->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
}

int mailbox_run(struct mailbox *mailbox)
{
    struct msg *stack = atomic_exchange_explicit(&mailbox->head, NULL, memory_order_acquire);
    struct msg *queue = NULL;
    int count = 0;

    while (stack != NULL) {
        struct msg *msg = stack;

        stack = msg->next;
        msg->next = queue;
        queue = msg;
    }
    while (queue != NULL) {
        struct msg *msg = queue;

        queue = msg->next; /* before run(), which may free it */
        msg->next = NULL;
        msg->run(msg);
        count++;
    }
    return count;
}

bool mailbox_sleep(struct mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->sleeping, true, memory_order_seq_cst);
    if (atomic_load_explicit(&mailbox->head, memory_order_seq_cst) == NULL)
        return true;
    atomic_store_explicit(&mailbox->sleeping, false, memory_order_seq_cst);
    return false;
}

void mailbox_wake(struct mailbox *mailbox)
{
    uint64_t count;

    /* The eventfd can only have been written by whoever turned sleeping off. */
    if (!atomic_exchange_explicit(&mailbox->sleeping, false, memory_order_seq_cst))
        while (read(mailbox->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
            ;
}

void mailbox_awake(struct mailbox *mailbox)
{
    /* Relaxed: a poster who does not see it yet writes once more, which wakes up for nothing. */
    atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
}

int mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = mailbox->wake_fd, .events = POLLIN };

    if (timeout_ms != 0 && mailbox_sleep(mailbox)) {
        poll(&poll_fd, 1, timeout_ms);
        mailbox_wake(mailbox);
    }
    return mailbox_run(mailbox);
}
