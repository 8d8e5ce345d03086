/*
 * http - metrics and status pages: a small server on a thread of its own. What it shows is handed
 * in.
 *
 * It answers GET and HEAD for a fixed list of paths, 404 for others, with bounds on header, body
 * and time. It has no defence against many slow clients: listen on localhost or a trusted network.
 *
 * Ownership: pages are copied; what their arg points to outlives http_stop().
 * Threads:   render() is called on the T_HTTP thread. http_start() and http_stop() from any other.
 */
#ifndef COMMON_IO_HTTP_H
#define COMMON_IO_HTTP_H

#include <stddef.h>
#include <stdio.h>

#include "common/base/err.h"

struct http;

struct http_page {
    const char *path;                     /* "/metrics" */
    const char *type;                     /* "text/plain; version=0.0.4" */
    void (*render)(FILE *out, void *arg); /* writes the page; takes no lock of the data path */
    void *arg;
};

/* port 0: any free one. host NULL or "": all addresses. */
enum err http_start(const char *host, int port, const struct http_page *pages, size_t count,
                    struct http **out) MUST_USE;
int http_port(const struct http *http);
void http_stop(struct http **http_ptr);

#endif
