/*
 * moldau-controller: options, settings, start; then main waits for a signal to stop.
 *
 * All signals are blocked before any thread is started; SIGTERM and SIGINT are a clean stop, a
 * second one ends the process at once. SIGHUP changes nothing, so that a closed terminal does not
 * end a controller.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/tables/broker_conf.h" /* the table alone */
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "controller/server/pages.h"
#include "controller/shell/events.h"
#include "controller/tables/controller_conf.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#ifdef __SANITIZE_ADDRESS__
/* ZooKeeper's library loses the answer of a multi that comes while it closes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libzookeeper_mt\n";
}
#endif

static const char usage[] =
    "moldau-controller FILE.properties [--override KEY=VALUE]...\n"
    "\n"
    "  moldau-controller controller.properties\n"
    "  moldau-controller --override controller.id=3001 --override controller.listener=h1:9190 \\\n"
    "                    --override zookeeper.connect=zk1:2181,zk2:2181/kafka\n"
    "\n"
    "Runs in the foreground and says what happens on stderr; SIGTERM is a clean stop.\n"
    "\n"
    "  --override KEY=VALUE   a setting that wins over the file\n"
    "  --version              what this is\n"
    "  --help                 this, and every setting with its default\n"
    "  --sample               a sample file with every setting\n"
    "\n"
    "exit code: 0 after a clean stop, 1 when it could not start, 2 for wrong usage or settings\n";

struct options {
    const char *path;
    size_t n_overrides, cap_overrides;
    const char **overrides;
};

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = { { "override", required_argument, NULL, 'o' },
                                           { "version", no_argument, NULL, 'v' },
                                           { "help", no_argument, NULL, 'h' },
                                           { "sample", no_argument, NULL, 's' },
                                           { NULL, 0, NULL, 0 } };
    int option;

    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'o':
            array_reserve(&options->overrides, &options->cap_overrides, options->n_overrides,
                          sizeof *options->overrides);
            options->overrides[options->n_overrides++] = optarg;
            break;
        case 'v':
            printf("moldau-controller %s\n", MOLDAU_VERSION);
            return EXIT_FINE;
        case 'h':
            printf("%s\nsettings:\n", usage);
            conf_print_help(&controller_conf_table, stdout);
            return EXIT_FINE;
        case 's':
            conf_print_sample(&controller_conf_table, stdout);
            return EXIT_FINE;
        default:
            fprintf(stderr, "try moldau-controller --help\n");
            return EXIT_USAGE;
        }
    }
    if (argc - optind > 1 || (optind == argc && options->n_overrides == 0)) {
        fprintf(stderr, "%s", usage);
        return EXIT_USAGE;
    }
    options->path = optind < argc ? argv[optind] : NULL;
    return -1;
}

static struct events_conf events_conf_of(const struct controller_conf *conf)
{
    struct events_conf out = {
        .host = conf->host,
        .port = conf->port,
        .zookeeper_connect = conf->zookeeper_connect,
        .session_timeout_ms = conf->zookeeper_session_timeout_ms,
        .heartbeat_interval_ms = (uint32_t)conf->controller_heartbeat_interval_ms,
    };

    core_settings_init(&out.core);
    out.core.controller_id = conf->controller_id;
    out.core.default_replication_factor = conf->default_replication_factor;
    out.core.num_partitions = conf->num_partitions;
    out.core.delete_topic_enable = conf->delete_topic_enable;
    out.core.auto_leader_rebalance_enable = conf->auto_leader_rebalance_enable;
    out.core.leader_imbalance_per_broker_percentage = conf->leader_imbalance_per_broker_percentage;
    out.core.leader_imbalance_check_interval_ms =
        conf->leader_imbalance_check_interval_seconds * 1000;
    out.core.heartbeat_timeout_ms = conf->controller_heartbeat_timeout_ms;
    out.core.session_timeout_ms = conf->zookeeper_session_timeout_ms;
    out.core.grace_ms = conf->grace_ms;
    out.core.n_topic_defaults = conf->n_topic_defaults;
    out.core.topic_defaults = conf->topic_defaults;
    out.core.broker_settings = &broker_conf_table;
    rand_bytes_os(&out.seed, sizeof out.seed);
    return out;
}

static void wait_for_the_end(const sigset_t *signals)
{
    int number = 0;

    while (number != SIGTERM && number != SIGINT)
        (void)sigwait(signals, &number);
    say_info("stopping signal=%d", number);

    /* Who asks twice does not want to wait. */
    struct sigaction at_once = { .sa_handler = SIG_DFL };
    sigset_t last;

    sigaction(SIGTERM, &at_once, NULL);
    sigaction(SIGINT, &at_once, NULL);
    sigemptyset(&last);
    sigaddset(&last, SIGTERM);
    sigaddset(&last, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &last, NULL);
}

static int serve(const struct controller_conf *conf, const sigset_t *signals)
{
    struct events_conf events_conf = events_conf_of(conf);
    struct events *events;
    struct http *http = NULL;

    say_info("moldau-controller %s starting id=%d pid=%d", MOLDAU_VERSION, conf->controller_id,
             (int)getpid());
    if (events_start(&events_conf, &events) != ERR_OK)
        return EXIT_FAILED;
    if (conf->metrics_host != NULL) {
        enum err err = pages_start(events, conf->metrics_host, conf->metrics_port, &http);

        if (err != ERR_OK) {
            say_error("cannot listen metrics.listener=%s err=\"%s\"", conf->metrics_listener,
                      err_text(err));
            events_stop(&events);
            return EXIT_FAILED;
        }
    }
    wait_for_the_end(signals);
    if (http != NULL)
        http_stop(&http);
    events_stop(&events);
    say_info("stopped");
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    struct options options = { .path = NULL };
    struct controller_conf values;
    struct conf *conf;
    sigset_t signals;
    char who[32];
    int code = read_options(argc, argv, &options);

    if (code >= 0) {
        free(options.overrides);
        return code;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    thread_adopt(T_MAIN);
    code = EXIT_USAGE;
    if (controller_conf_load(options.path, options.n_overrides, options.overrides, &values,
                             &conf) == ERR_OK) {
        snprintf(who, sizeof who, "controller-%d", values.controller_id);
        say_setup((enum say_level)values.say_level, (enum say_format)values.say_format, who);
        code = serve(&values, &signals);
        conf_free(&conf);
    }
    free(options.overrides);
    return code;
}
