/*
 * run/cluster.json is written by scripts/cluster alone, so its few numbers are looked for by name
 * instead of parsing JSON.
 */
#include "controller/cli/place.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

#define FILE_BYTES_MAX  65536
#define BROKER_PORT     9092
#define CONTROLLER_PORT 9190
#define ZOOKEEPER_PORT  2181

static bool parse_one(struct arena *arena, struct str text, int32_t default_port,
                      struct address *out)
{
    const char *colon;
    int64_t port = default_port;
    struct str host = text;

    if (str_starts_with(text, STR("PLAINTEXT://")))
        host = text = (struct str){ .ptr = text.ptr + 12, .len = text.len - 12 };
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);

        if (end == NULL)
            return false;
        host = (struct str){ .ptr = text.ptr + 1, .len = (size_t)(end - text.ptr) - 1 };
        colon = end + 1 < text.ptr + text.len ? end + 1 : NULL;
        if (colon != NULL && *colon != ':')
            return false;
    } else {
        colon = memchr(text.ptr, ':', text.len);
        if (colon != NULL)
            host.len = (size_t)(colon - text.ptr);
    }
    if (colon != NULL &&
        !str_to_i64(
            (struct str){ .ptr = colon + 1, .len = text.len - (size_t)(colon + 1 - text.ptr) },
            &port))
        return false;
    if (host.len == 0 || host.len > 255 || port < 1 || port > 65535)
        return false;
    *out = (struct address){ .host = arena_cstr(arena, host), .port = (int32_t)port };
    return true;
}

bool place_parse(struct arena *arena, const char *text, int32_t default_port, struct address **out,
                 int *len)
{
    struct str rest = str_of(text);
    size_t most = 1;

    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',';
    *out = arena_zalloc(arena, most, sizeof **out);
    *len = 0;
    while (!str_is_null(rest)) {
        struct str one = str_trim(str_split(rest, ',', &rest));

        if (one.len == 0)
            continue;
        if (!parse_one(arena, one, default_port, &(*out)[*len]))
            return false;
        (*len)++;
    }
    return *len > 0;
}

const char *place_join(struct arena *arena, const struct address *addresses, int len)
{
    struct str text = STR_EMPTY;

    for (int i = 0; i < len; i++)
        text = arena_printf(arena, "%.*s%s%s:%d", STR_ARG(text), i > 0 ? "," : "",
                            addresses[i].host, addresses[i].port);
    return arena_cstr(arena, text);
}

/* ---- sources --------------------------------------------------------------------------------- */

static enum exit_code take(struct cli *cli, struct place *place, const char *bootstrap,
                           const char *controller, const char *zookeeper, const char *source)
{
    place->source = source;
    place->zookeeper = zookeeper;
    if (bootstrap != NULL &&
        !place_parse(&cli->arena, bootstrap, BROKER_PORT, &place->brokers, &place->brokers_len))
        return cli_fail(
            cli, CLI_USAGE, cli_text(cli, "'%s' is no list of brokers", bootstrap),
            cli_text(cli, "it was given by %s; what is meant is HOST:PORT,HOST:PORT", source),
            NULL);
    if (controller != NULL && !place_parse(&cli->arena, controller, CONTROLLER_PORT,
                                           &place->controllers, &place->controllers_len))
        return cli_fail(
            cli, CLI_USAGE, cli_text(cli, "'%s' is no controller's address", controller),
            cli_text(cli, "it was given by %s; what is meant is HOST:PORT", source), NULL);
    return CLI_OK;
}

/* Whole, NUL-terminated, in the arena; NULL when it is not there or cannot be read. */
static char *read_small(struct cli *cli, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t n;

    if (file == NULL)
        return NULL;
    text = arena_alloc(&cli->arena, FILE_BYTES_MAX + 1);
    n = fread(text, 1, FILE_BYTES_MAX, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* The nearest folder/name from start upwards, as text; *path says where it was. */
static char *read_upwards(struct cli *cli, const char *start, const char *name, const char **path)
{
    char folder[PATH_MAX];
    char *text, *slash;

    snprintf(folder, sizeof folder, "%s", start);
    for (;;) {
        *path = cli_text(cli, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
        text = read_small(cli, *path);
        if (text != NULL)
            return text;
        slash = strrchr(folder, '/');
        if (slash == NULL)
            return NULL;
        *slash = '\0';
    }
}

static const char *property(struct cli *cli, const char *text, const char *key)
{
    struct str rest = str_of(text);

    while (!str_is_null(rest)) {
        struct str value, line = str_trim(str_split(rest, '\n', &rest));
        struct str name = str_trim(str_split(line, '=', &value));

        if (line.len > 0 && line.ptr[0] != '#' && str_is(name, key) && !str_is_null(value))
            return arena_cstr(&cli->arena, str_trim(value));
    }
    return NULL;
}

static bool number_in(const char *json, const char *key, int64_t *out)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(json, quoted);
    if (at == NULL)
        return false;
    at += strlen(quoted);
    while (*at == ' ')
        at++;
    return str_to_i64((struct str){ .ptr = at, .len = strspn(at, "0123456789") }, out);
}

/* The addresses that scripts/cluster gives to nodes 1..n; design: brokers P+1.., controllers
 * P+51.., ZooKeepers P+81.. with --port-base P. */
static const char *ports_from(struct cli *cli, int64_t n, int64_t first)
{
    struct str text = STR_EMPTY;

    for (int64_t port = first; port < first + n; port++)
        text = arena_printf(&cli->arena, "%.*s%s127.0.0.1:%lld", STR_ARG(text),
                            port > first ? "," : "", (long long)port);
    return n > 0 ? arena_cstr(&cli->arena, text) : NULL;
}

static enum exit_code take_local(struct cli *cli, struct place *place, const char *json,
                                 const char *path)
{
    int64_t brokers = 3, controllers = 2, zookeepers = 1, base = -1;

    (void)number_in(json, "brokers", &brokers);
    (void)number_in(json, "controllers", &controllers);
    (void)number_in(json, "zookeepers", &zookeepers);
    (void)number_in(json, "port_base", &base);
    if (brokers < 0 || brokers > 1000 || controllers < 0 || controllers > 1000 || zookeepers < 0 ||
        zookeepers > 1000)
        return CLI_OK;
    place->local = true;
    return take(cli, place, ports_from(cli, brokers, base < 0 ? BROKER_PORT : base + 1),
                ports_from(cli, controllers, base < 0 ? CONTROLLER_PORT : base + 51),
                ports_from(cli, zookeepers, base < 0 ? ZOOKEEPER_PORT : base + 81), path);
}

static bool read_local(struct cli *cli, const char *cwd, char **json, const char **path)
{
    char self[PATH_MAX];
    ssize_t n;

    *json = read_upwards(cli, cwd, "run/cluster.json", path);
    if (*json != NULL)
        return true;
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    *json = read_upwards(cli, self, "run/cluster.json", path);
    return *json != NULL;
}

enum exit_code place_find(struct cli *cli, struct place *place)
{
    const char *bootstrap = args_text(&cli->args, "bootstrap-server", NULL);
    const char *controller = args_text(&cli->args, "controller", NULL);
    const char *zookeeper = args_text(&cli->args, "zookeeper", NULL);
    char cwd[PATH_MAX];
    const char *path;
    char *text;

    *place = (struct place){ .command_config = getenv("MOLDAU_COMMAND_CONFIG") };
    if (bootstrap != NULL || controller != NULL || zookeeper != NULL)
        return take(cli, place, bootstrap, controller, zookeeper, "the command line");
    bootstrap = getenv("MOLDAU_BOOTSTRAP");
    controller = getenv("MOLDAU_CONTROLLER");
    zookeeper = getenv("MOLDAU_ZOOKEEPER");
    if (bootstrap != NULL || controller != NULL || zookeeper != NULL)
        return take(cli, place, bootstrap, controller, zookeeper, "the environment (MOLDAU_...)");
    if (getcwd(cwd, sizeof cwd) == NULL)
        snprintf(cwd, sizeof cwd, "/");
    text = read_upwards(cli, cwd, ".moldau", &path);
    if (text != NULL) {
        if (place->command_config == NULL)
            place->command_config = property(cli, text, "command-config");
        bootstrap = property(cli, text, "bootstrap");
        controller = property(cli, text, "controller");
        zookeeper = property(cli, text, "zookeeper");
        if (bootstrap != NULL || controller != NULL || zookeeper != NULL)
            return take(cli, place, bootstrap, controller, zookeeper, path);
    }
    if (read_local(cli, cwd, &text, &path))
        return take_local(cli, place, text, path);
    place->local = true;
    return take(cli, place, "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094", NULL, NULL,
                "default: no address was given");
}
