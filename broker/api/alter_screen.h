/*
 * alter_screen - what of a request to change settings this broker refuses before the controller
 * hears of it: what only it can judge, by its own file (thread_counts).
 *
 * Ownership:  all is the request's arena's.
 * Threads:    the request's reactor.
 */
#ifndef BROKER_API_ALTER_SCREEN_H
#define BROKER_API_ALTER_SCREEN_H

#include "broker/api/api.h"

struct alter_refusal {
    int8_t resource_type;
    struct str resource_name;
    struct str why;
};

struct alter_screen {
    struct alter_refusal *refused;
    size_t n;
    bool nothing_left; /* of the request */
};

/* Takes what is refused out of the body of an AlterConfigs or IncrementalAlterConfigs request. */
void alter_screen(const struct api *api, struct request *req, void *body, struct alter_screen *out);
/* Adds it to the response to the rest. */
void alter_screen_answer(const struct alter_screen *screen, struct request *req, void *response);

#endif
