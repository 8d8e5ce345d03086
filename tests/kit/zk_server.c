/*
 * Java in the foreground with its settings in a file, as a child that dies with us. Whether it
 * serves is asked with ZooKeeper's four-letter word srvr, whose answer has a line "Mode: leader".
 */
#include "tests/kit/zk_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define SERVERS_MAX 3
#define JAR         "/usr/share/java/zookeeper.jar"
#define LOG_JAR     "/usr/share/java/slf4j-simple.jar"
#define SERVING_MS  30000
#define PORT_FIRST  24000
#define PORTS       3000

struct zk_ensemble {
    int n;
    const char *dir;
    int client[SERVERS_MAX], quorum[SERVERS_MAX], election[SERVERS_MAX];
    pid_t pid[SERVERS_MAX];
    char servers[128];
};

const char *zk_ensemble_missing(void)
{
    if (access(JAR, R_OK) != 0)
        return JAR " (libzookeeper-java)";
    if (system("command -v java >/dev/null 2>&1") != 0)
        return "java";
    return NULL;
}

/* Ports that nobody listens on now, never the same one twice in a process. */
static int free_port(void)
{
    static int next;

    for (int tries = 0; tries < PORTS; tries++) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;
        int port = PORT_FIRST + ((int)getpid() * 16 + next++) % PORTS;

        address.sin_port = htons((uint16_t)port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        rc = bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (rc == 0)
            return port;
    }
    ck_abort_msg("no free port");
    return -1;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static char *conf_path(const struct zk_ensemble *e, int i)
{
    return xasprintf("%s/%d/zoo.cfg", e->dir, i);
}

static void write_conf(const struct zk_ensemble *e, int i)
{
    char *dir = xasprintf("%s/%d", e->dir, i), *conf = conf_path(e, i);
    char *id_path = xasprintf("%s/myid", dir), *text;
    char peers[512] = "", id[16];

    for (int j = 0; e->n > 1 && j < e->n; j++)
        snprintf(peers + strlen(peers), sizeof peers - strlen(peers), "server.%d=127.0.0.1:%d:%d\n",
                 j + 1, e->quorum[j], e->election[j]);
    text = xasprintf("tickTime=200\ninitLimit=50\nsyncLimit=20\ndataDir=%s\nclientPort=%d\n"
                     "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n"
                     "minSessionTimeout=400\nmaxSessionTimeout=60000\n"
                     "4lw.commands.whitelist=srvr\n%s",
                     dir, e->client[i], peers);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    write_file(conf, text);
    snprintf(id, sizeof id, "%d\n", i + 1);
    write_file(id_path, id);
    free(text);
    free(id_path);
    free(conf);
    free(dir);
}

static void run_java(const struct zk_ensemble *e, int i)
{
    char *conf = conf_path(e, i), *log = xasprintf("%s/%d/log", e->dir, i);
    int null = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    close_range(3, ~0U, 0);
    execlp("java", "java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
           "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
           JAR ":" LOG_JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf,
           (char *)NULL);
    _exit(127);
}

static void launch(struct zk_ensemble *e, int i)
{
    e->pid[i] = fork();
    ck_assert_int_ge(e->pid[i], 0);
    if (e->pid[i] == 0)
        run_java(e, i);
}

/* What srvr answers, "" when it does not. */
static void ask(int port, char *answer, size_t size)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct timeval patience = { .tv_sec = 1 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t have = 0;

    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, "srvr", 4, MSG_NOSIGNAL) == 4) {
        ssize_t got;

        while (have < size - 1 && (got = recv(fd, answer + have, size - 1 - have, 0)) > 0)
            have += (size_t)got;
    }
    answer[have] = '\0';
    close(fd);
}

static void wait_serving(const struct zk_ensemble *e, int i)
{
    int64_t end_ms = clock_mono_ms() + SERVING_MS;
    char answer[2048] = "";

    while (strstr(answer, "Mode:") == NULL) {
        ck_assert_msg(clock_mono_ms() < end_ms, "ZooKeeper does not serve, log in %s/%d/log",
                      e->dir, i);
        usleep(20000);
        ask(e->client[i], answer, sizeof answer);
    }
}

struct zk_ensemble *zk_ensemble_start(int n)
{
    struct zk_ensemble *e = xcalloc(1, sizeof *e);

    ck_assert_int_le(n, SERVERS_MAX);
    e->n = n;
    e->dir = unit_temp_dir();
    for (int i = 0; i < n; i++) {
        e->client[i] = free_port();
        e->quorum[i] = free_port();
        e->election[i] = free_port();
        snprintf(e->servers + strlen(e->servers), sizeof e->servers - strlen(e->servers),
                 "%s127.0.0.1:%d", i > 0 ? "," : "", e->client[i]);
    }
    for (int i = 0; i < n; i++) {
        write_conf(e, i);
        launch(e, i);
    }
    for (int i = 0; i < n; i++)
        wait_serving(e, i);
    return e;
}

void zk_ensemble_kill(struct zk_ensemble *e, int i)
{
    if (e->pid[i] <= 0)
        return;
    kill(e->pid[i], SIGKILL);
    waitpid(e->pid[i], NULL, 0);
    e->pid[i] = 0;
}

void zk_ensemble_again(struct zk_ensemble *e, int i)
{
    launch(e, i);
    wait_serving(e, i);
}

void zk_ensemble_pause(struct zk_ensemble *e, int i)
{
    kill(e->pid[i], SIGSTOP);
}

void zk_ensemble_resume(struct zk_ensemble *e, int i)
{
    kill(e->pid[i], SIGCONT);
}

void zk_ensemble_stop(struct zk_ensemble **ensemble)
{
    if (*ensemble == NULL)
        return;
    for (int i = 0; i < (*ensemble)->n; i++)
        zk_ensemble_kill(*ensemble, i);
    free(*ensemble);
    *ensemble = NULL;
}

const char *zk_ensemble_servers(const struct zk_ensemble *e)
{
    return e->servers;
}

int zk_ensemble_leader(const struct zk_ensemble *e)
{
    char answer[2048];

    for (int i = 0; i < e->n; i++) {
        ask(e->client[i], answer, sizeof answer);
        if (strstr(answer, "Mode: leader") != NULL || strstr(answer, "Mode: standalone") != NULL)
            return i;
    }
    return -1;
}
