/*
 * api_versions - what this broker speaks: exactly the rows of the table it was dispatched by.
 */
#ifndef BROKER_API_API_VERSIONS_H
#define BROKER_API_API_VERSIONS_H

struct request;

/* A handler_fn; its row has HANDLER_ANY_VERSION. */
void api_versions_handle(struct request *req, void *body, void *context);

#endif
