/*
 * http: the pages that were handed in, and what is refused.
 */
#include "common/io/http.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io/net.h"
#include "tests/kit/unit.h"

static void page(FILE *out, void *arg)
{
    fprintf(out, "shown %d\n", *(int *)arg);
}

/* One exchange; returns the whole answer. */
static const char *ask(int port, const char *text, size_t len)
{
    static char answer[65536];
    struct net_addr addr;
    size_t have = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(net_addr_find("127.0.0.1", port, &addr), ERR_OK);
    ck_assert_int_eq(connect(fd, &addr.at.any, addr.len), 0);
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n < 0)
            break; /* it has heard enough */
        text += n;
        len -= (size_t)n;
    }
    for (;;) {
        ssize_t n = recv(fd, answer + have, sizeof answer - 1 - have, 0);

        if (n <= 0)
            break;
        have += (size_t)n;
    }
    answer[have] = '\0';
    close(fd);
    return answer;
}

START_TEST(pages_are_shown_and_nothing_else)
{
    int shown = 42;
    struct http_page pages[] = { { "/metrics", "text/plain", page, &shown } };
    struct http *http;
    char *huge = malloc(1 << 20);
    static const char get[] = "GET /metrics?x=1 HTTP/1.0\r\n\r\n";
    static const char head[] = "HEAD /metrics HTTP/1.0\r\n\r\n";
    static const char other[] = "GET /other HTTP/1.0\r\n\r\n";
    static const char post[] = "POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n";

    ck_assert_int_eq(http_start("127.0.0.1", 0, pages, 1, &http), ERR_OK);
    int port = http_port(http);
    const char *answer = ask(port, get, sizeof get - 1);
    ck_assert_ptr_nonnull(strstr(answer, "200"));
    ck_assert_ptr_nonnull(strstr(answer, "Content-Type: text/plain"));
    ck_assert_ptr_nonnull(strstr(answer, "shown 42"));
    answer = ask(port, head, sizeof head - 1);
    ck_assert_ptr_nonnull(strstr(answer, "200"));
    ck_assert_ptr_null(strstr(answer, "shown"));
    ck_assert_ptr_nonnull(strstr(ask(port, other, sizeof other - 1), "404"));
    ck_assert_ptr_null(strstr(ask(port, post, sizeof post - 1), "200"));
    memset(huge, 'a', 1 << 20);
    memcpy(huge, get, 26);
    ck_assert_ptr_null(strstr(ask(port, huge, 1 << 20), "200"));
    ck_assert_ptr_nonnull(strstr(ask(port, get, sizeof get - 1), "shown 42"));
    free(huge);
    struct http *second;
    ck_assert_int_eq(http_start("127.0.0.1", port, pages, 1, &second), ERR_EXISTS);
    http_stop(&http);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("http");

    tcase_add_test(tc, pages_are_shown_and_nothing_else);
    return unit_run(tc);
}
