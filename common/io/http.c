/*
 * evhttp on a reactor of its own. A page is rendered into memory and sent as one buffer. evhttp has
 * no bounds unless told: header, body, time and methods are set here.
 */
#include "common/io/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

#define HEADER_BYTES_MAX (8 * 1024)
#define BODY_BYTES_MAX   (1024 * 1024)
#define TIMEOUT_S        10

struct http {
    struct reactor *reactor;  /* [I] its thread is the server's */
    struct evhttp *server;    /* [o] */
    int port;                 /* [I] */
    size_t count;             /* [I] of pages */
    struct http_page pages[]; /* [I] */
};

static void free_text(const void *data, size_t len, void *text)
{
    (void)data;
    (void)len;
    free(text);
}

static const struct http_page *find_page(const struct http *http, struct evhttp_request *req)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));

    for (size_t i = 0; path != NULL && i < http->count; i++)
        if (strcmp(path, http->pages[i].path) == 0)
            return &http->pages[i];
    return NULL;
}

static void on_request(struct evhttp_request *req, void *arg)
{
    const struct http_page *page = find_page(arg, req);
    char *text = NULL;
    size_t len = 0;

    if (page == NULL) {
        evhttp_send_error(req, HTTP_NOTFOUND, NULL);
        return;
    }
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
        return;
    }
    page->render(out, page->arg);
    fclose(out);

    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(headers, "Content-Type", page->type);
    if (evhttp_request_get_command(req) ==
        EVHTTP_REQ_HEAD) { /* it would send a body if given one */
        char digits[24];

        snprintf(digits, sizeof digits, "%zu", len);
        evhttp_add_header(headers, "Content-Length", digits);
        len = 0;
    }
    if (len == 0 || evbuffer_add_reference(body, text, len, free_text, text) != 0)
        free(text);
    evhttp_send_reply(req, HTTP_OK, NULL, body);
    evbuffer_free(body);
}

static void copy_pages(struct http *http, const struct http_page *pages)
{
    for (size_t i = 0; i < http->count; i++) {
        http->pages[i] = pages[i];
        http->pages[i].path = xstrdup(pages[i].path);
        http->pages[i].type = xstrdup(pages[i].type);
    }
}

enum err http_start(const char *host, int port, const struct http_page *pages, size_t count,
                    struct http **out)
{
    struct http *http = xcalloc(1, sizeof *http + count * sizeof http->pages[0]);
    struct net_addr bound = { .len = sizeof bound.at };

    http->count = count;
    copy_pages(http, pages);
    http->reactor = reactor_new();
    http->server = evhttp_new(reactor_base(http->reactor));
    evhttp_set_max_headers_size(http->server, HEADER_BYTES_MAX);
    evhttp_set_max_body_size(http->server, BODY_BYTES_MAX);
    evhttp_set_timeout(http->server, TIMEOUT_S);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_gencb(http->server, on_request, http);
    errno = 0;
    struct evhttp_bound_socket *socket = evhttp_bind_socket_with_handle(
        http->server, host != NULL && host[0] != '\0' ? host : NULL, (uint16_t)port);
    if (socket == NULL) {
        enum err err = errno == EADDRINUSE ? ERR_EXISTS : err_from_errno(errno);

        http_stop(&http);
        return err;
    }
    if (getsockname(evhttp_bound_socket_get_fd(socket), &bound.at.any, &bound.len) == 0)
        http->port = net_addr_port(&bound);
    reactor_start(http->reactor, T_HTTP, -1);
    *out = http;
    return ERR_OK;
}

int http_port(const struct http *http)
{
    return http->port;
}

void http_stop(struct http **http_ptr)
{
    struct http *http = *http_ptr;

    *http_ptr = NULL;
    if (http == NULL)
        return;
    reactor_stop(http->reactor);
    evhttp_free(http->server);
    reactor_free(&http->reactor);
    for (size_t i = 0; i < http->count; i++) {
        free((void *)(uintptr_t)http->pages[i].path);
        free((void *)(uintptr_t)http->pages[i].type);
    }
    free(http);
}
