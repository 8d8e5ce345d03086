/*
 * kafka_client against a broker that is a thread of ours and answers what it is told: versions are
 * agreed on, old brokers are understood, those that hang, hang up or talk nonsense are told apart.
 */
#include "controller/cli/kafka_client.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "gen/wire/apis.h"
#include "gen/wire/metadata.h"
#include "tests/kit/unit.h"

#define SOON_MS 5000

struct toy {
    int fd;
    int32_t port;
    const uint8_t *answers[2]; /* frames without their length, one for each request */
    size_t lens[2];
    pthread_t thread;
    bool started;
};

static void read_request(int fd)
{
    uint8_t head[4], body[512];

    ck_assert_int_eq(recv(fd, head, 4, MSG_WAITALL), 4);
    ck_assert_uint_le(load_be32(head), sizeof body);
    ck_assert_int_eq(recv(fd, body, load_be32(head), MSG_WAITALL), (int)load_be32(head));
}

static void *serve(void *arg)
{
    struct toy *toy = arg;
    int fd = accept(toy->fd, NULL, NULL);
    uint8_t head[4];

    for (int i = 0; i < 2 && toy->answers[i] != NULL; i++) {
        read_request(fd);
        store_be32(head, (uint32_t)toy->lens[i]);
        ck_assert_int_eq(send(fd, head, 4, MSG_NOSIGNAL), 4);
        ck_assert_int_eq(send(fd, toy->answers[i], toy->lens[i], MSG_NOSIGNAL),
                         (ssize_t)toy->lens[i]);
    }
    close(fd);
    return NULL;
}

static void toy_listen(struct toy *toy)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;

    toy->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(toy->fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(toy->fd, 5), 0);
    ck_assert_int_eq(getsockname(toy->fd, (struct sockaddr *)&at, &len), 0);
    toy->port = ntohs(at.sin_port);
}

static void toy_start(struct toy *toy)
{
    toy_listen(toy);
    ck_assert_int_eq(pthread_create(&toy->thread, NULL, serve, toy), 0);
    toy->started = true;
}

static void toy_end(struct toy *toy)
{
    if (toy->started)
        pthread_join(toy->thread, NULL);
    close(toy->fd);
}

/* correlation 0, error 35, and in version 0: Metadata 0 to 4 */
static const uint8_t old_versions[] = { 0, 0, 0, 0, 0, 35, 0, 0, 0, 1, 0, 3, 0, 0, 0, 4 };
/* correlation 0, no error, one api + 1: Metadata 0 to 12, tags, throttle, tags */
static const uint8_t new_versions[] = { 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0 };
/* Metadata v4, correlation 1: no broker, null cluster, controller 7, no topic */
static const uint8_t metadata_v4[] = { 0, 0,    0,    1, 0, 0, 0, 0, 0, 0, 0,
                                       0, 0xff, 0xff, 0, 0, 0, 7, 0, 0, 0, 0 };

START_TEST(an_old_broker_is_understood)
{
    struct toy toy = { .answers = { old_versions, metadata_v4 },
                       .lens = { sizeof old_versions, sizeof metadata_v4 } };
    struct kafka_target target = { .host = "127.0.0.1" };
    struct metadata_request request;
    struct metadata_response response;
    struct arena arena;

    toy_start(&toy);
    target.port = toy.port;
    arena_init(&arena, SIZE_MAX);
    kafka_dial(&target, 1, true, clock_mono_ms() + SOON_MS, NULL);
    ck_assert_int_eq(target.err, ERR_OK);
    ck_assert_int_eq(kafka_version(target.client, API_METADATA), 4);
    ck_assert_int_eq(kafka_version(target.client, API_PRODUCE), -1);
    metadata_request_init(&request);
    ck_assert_int_eq(kafka_ask(target.client, API_METADATA, &request, &response, &arena,
                               clock_mono_ms() + SOON_MS),
                     ERR_OK);
    ck_assert_int_eq(response.controller_id, 7);
    kafka_close(&target.client);
    arena_fini(&arena);
    toy_end(&toy);
}
END_TEST

START_TEST(a_broker_that_hangs_costs_nothing)
{
    struct toy hung = { .port = 0 },
               well = { .answers = { new_versions }, .lens = { sizeof new_versions } };
    struct kafka_target targets[2] = { { .host = "127.0.0.1" }, { .host = "127.0.0.1" } };

    toy_listen(&hung);
    toy_start(&well);
    targets[0].port = hung.port;
    targets[1].port = well.port;
    kafka_dial(targets, 2, true, clock_mono_ms() + SOON_MS, NULL);
    ck_assert_ptr_null(targets[0].client);
    ck_assert_int_eq(targets[1].err, ERR_OK);
    ck_assert_int_eq(kafka_version(targets[1].client, API_METADATA), METADATA_REQUEST_MAX_VERSION);
    kafka_close(&targets[1].client);
    toy_end(&hung);
    toy_end(&well);
}
END_TEST

START_TEST(reasons_are_told_apart)
{
    static const uint8_t nonsense[] = { 'H', 'T', 'T', 'P' };
    struct toy hung = { .port = 0 }, gone = { .port = 0 },
               liar = { .answers = { nonsense }, .lens = { sizeof nonsense } };
    struct kafka_target targets[4] = { { .host = "127.0.0.1" },
                                       { .host = "127.0.0.1" },
                                       { .host = "127.0.0.1" },
                                       { .host = "256.1.1.1" } };

    toy_listen(&hung);
    toy_listen(&gone);
    toy_start(&liar);
    targets[0].port = hung.port;
    targets[1].port = gone.port;
    targets[2].port = liar.port;
    targets[3].port = 1;
    toy_end(&gone);
    kafka_dial(targets, 4, false, clock_mono_ms() + 3000, NULL);
    ck_assert_int_eq(targets[0].err, ERR_TIMED_OUT);
    ck_assert_int_eq(targets[1].err, ERR_REFUSED);
    ck_assert_int_eq(targets[2].err, ERR_BAD_FORMAT);
    ck_assert_int_eq(targets[3].err, ERR_NOT_FOUND);
    toy_end(&hung);
    toy_end(&liar);
}
END_TEST

START_TEST(one_that_hangs_up_is_told)
{
    struct toy toy = { .answers = { new_versions }, .lens = { sizeof new_versions } };
    struct kafka_target target = { .host = "127.0.0.1" };
    struct metadata_request request;
    struct metadata_response response;
    struct arena arena;

    toy_start(&toy);
    target.port = toy.port;
    arena_init(&arena, SIZE_MAX);
    kafka_dial(&target, 1, true, clock_mono_ms() + SOON_MS, NULL);
    metadata_request_init(&request);
    ck_assert_int_eq(kafka_ask(target.client, API_METADATA, &request, &response, &arena,
                               clock_mono_ms() + SOON_MS),
                     ERR_CLOSED);
    kafka_close(&target.client);
    arena_fini(&arena);
    toy_end(&toy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka_client");

    tcase_add_test(tc, an_old_broker_is_understood);
    tcase_add_test(tc, a_broker_that_hangs_costs_nothing);
    tcase_add_test(tc, reasons_are_told_apart);
    tcase_add_test(tc, one_that_hangs_up_is_told);
    return unit_run(tc);
}
