/*
 * admins - clients' admin requests that brokers have forwarded and the core has not answered yet.
 *
 * Ownership:  a request lives, decoded, from admins_take() until its answer or admins_clear().
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_ADMINS_H
#define CONTROLLER_SHELL_ADMINS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "controller/core/core.h"
#include "gen/control.pb-c.h"

struct admins;

struct admins *admins_new(void);
void admins_free(struct admins **admins);

/* Decodes a request that came on `stream`. On an error nothing is kept and the broker is told it.
 */
enum err admins_take(struct admins *admins, uint64_t stream, const Control__AdminRequest *request,
                     struct core_admin *out) MUST_USE;
/* Encodes the core's answer and forgets the request. *body is malloc'ed, answer->body points to it;
 * ERR_NOT_FOUND: there is no such request. */
enum err admins_answer(struct admins *admins, const struct core_answer_admin *effect,
                       Control__AdminAnswer *answer, uint8_t **body) MUST_USE;
/* The core has forgotten all of them. */
void admins_clear(struct admins *admins);
size_t admins_count(const struct admins *admins);

#endif
