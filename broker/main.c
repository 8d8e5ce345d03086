/*
 * moldau-broker FILE.properties [--override key=value]...
 *
 * Runs in the foreground and says what it does on stderr. SIGTERM and SIGINT stop it cleanly, also
 * while it starts, a second SIGINT at once.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <poll.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/tables/broker_conf.h"
#include "common/base/conf.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"

#define EXIT_USAGE 2

struct options {
    const char *path;
    const char **overrides;
    size_t overrides_len;
};

static void print_usage(FILE *out)
{
    fputs("usage: moldau-broker FILE.properties [--override key=value]...\n"
          "\n"
          "  moldau-broker server.properties\n"
          "  moldau-broker server.properties --override broker.id=2 --override log.dirs=/data\n"
          "\n"
          "Kafka's own server.properties keys; a broker needs broker.id, listeners, log.dirs and\n"
          "zookeeper.connect. SIGTERM is a clean stop.\n"
          "\n"
          "  --override key=value   wins over the file; may be repeated\n"
          "  --help-settings        every setting, with default and meaning\n"
          "  --sample               a settings file to begin with\n"
          "  --version, --help\n",
          out);
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct options *options)
{
    options->overrides = xcalloc((size_t)argc, sizeof *options->overrides);
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];

        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_usage(stdout);
            return EXIT_SUCCESS;
        } else if (strcmp(arg, "--version") == 0) {
            puts("moldau-broker " MOLDAU_VERSION);
            return EXIT_SUCCESS;
        } else if (strcmp(arg, "--help-settings") == 0) {
            conf_print_help(&broker_conf_table, stdout);
            return EXIT_SUCCESS;
        } else if (strcmp(arg, "--sample") == 0) {
            conf_print_sample(&broker_conf_table, stdout);
            return EXIT_SUCCESS;
        } else if (strcmp(arg, "--override") == 0 && i + 1 < argc) {
            options->overrides[options->overrides_len++] = argv[++i];
        } else if (arg[0] != '-' && options->path == NULL) {
            options->path = arg;
        } else {
            fprintf(stderr, "moldau-broker: cannot use '%s'\n\n", arg);
            print_usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (options->path != NULL)
        return -1;
    print_usage(stderr);
    return EXIT_USAGE;
}

/* What ends a broker, as descriptors. */
struct ends {
    int signals;
    int fatal;
};

static void on_fatal(void *ctx)
{
    const struct ends *ends = ctx;
    uint64_t one = 1;

    if (write(ends->fatal, &one, sizeof one) < 0)
        abort();
}

/* The signal stays for wait_for_end(). */
static bool is_stopping(void *ctx)
{
    const struct ends *ends = ctx;
    struct pollfd fd = { .fd = ends->signals, .events = POLLIN };

    return poll(&fd, 1, 0) > 0;
}

/* Waits for a signal or a fatal error. True: by signal. */
static bool wait_for_end(const struct ends *ends)
{
    struct pollfd fds[2] = { { .fd = ends->signals, .events = POLLIN },
                             { .fd = ends->fatal, .events = POLLIN } };
    struct signalfd_siginfo info;

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            abort();
        if ((fds[1].revents & POLLIN) != 0)
            return false;
        if ((fds[0].revents & POLLIN) != 0 &&
            read(ends->signals, &info, sizeof info) == sizeof info) {
            say_info("stopping on signal=%u", info.ssi_signo);
            return true;
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = { .path = NULL };
    struct broker_conf settings;
    struct conf *conf;
    struct broker *broker = NULL;
    sigset_t set;
    struct ends ends = { .fatal = eventfd(0, EFD_CLOEXEC) };
    int status = read_options(argc, argv, &options);

    if (status >= 0)
        return status;
    thread_adopt(T_MAIN);
    /* Few arenas: a small process is a promise, and the data path allocates little. */
    mallopt(M_ARENA_MAX, 4);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    ends.signals = signalfd(-1, &set, SFD_CLOEXEC);

    if (broker_conf_load(options.path, options.overrides_len, options.overrides, &settings,
                         &conf) != ERR_OK)
        return EXIT_FAILURE;
    char who[32];
    snprintf(who, sizeof who, "broker-%d", settings.id);
    say_setup((enum say_level)settings.say_level, (enum say_format)settings.say_format, who);
    say_info("moldau-broker " MOLDAU_VERSION " starting broker=%d file=%s", settings.id,
             options.path);

    struct broker_hooks hooks = { .on_fatal = on_fatal, .is_stopping = is_stopping, .ctx = &ends };
    enum err err = broker_start(conf, &settings, &hooks, &broker);
    if (err != ERR_OK && err != ERR_SHUTTING_DOWN)
        return EXIT_FAILURE;
    bool by_signal = wait_for_end(&ends);
    sigdelset(&set,
              SIGTERM); /* supervisors may repeat it; who types Ctrl-C twice wants out at once */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (broker != NULL) /* else it has not started */
        broker_stop(&broker, by_signal);
    conf_free(&conf);
    free(options.overrides);
    say_info("stopped");
    return by_signal ? EXIT_SUCCESS : EXIT_FAILURE;
}
