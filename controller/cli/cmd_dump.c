/*
 * log dump: files in the order given, each by the ending of its name; then what was noticed on the
 * way, sorted by kind and file as Kafka's tool does it, on stderr. A file that cannot be read to
 * its end stops the run, and nothing noticed before is told: so does Kafka's.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "controller/cli/dump_int.h"
#include "controller/cli/java_text.h"

bool dump_fail(struct dump *dump, const struct dump_file *file, const char *format, ...)
{
    bool has_dir = file->name > file->path;
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    cli_fail(dump->cli, CLI_FAILED, cli_text(dump->cli, "%s: %s", file->path, text),
             "the dump ends here; what follows was not read",
             cli_text(dump->cli, "moldau log verify %.*s",
                      has_dir ? (int)(file->name - file->path - 1) : 1,
                      has_dir ? file->path : "."));
    free(text);
    return false;
}

void dump_remark(struct dump *dump, enum dump_remark kind, const char *path, int64_t first,
                 int64_t second)
{
    if (dump->remarks_len == dump->remarks_cap) {
        dump->remarks_cap = 2 * dump->remarks_cap + 64;
        dump->remarks = xrealloc(dump->remarks, dump->remarks_cap * sizeof *dump->remarks);
    }
    dump->remarks[dump->remarks_len++] =
        (struct remark){ .kind = kind, .path = path, .first = first, .second = second };
}

bool dump_base_offset(struct dump *dump, const struct dump_file *file, int64_t *base)
{
    struct str stem = { .ptr = file->name, .len = strcspn(file->name, ".") };

    return str_to_i64(stem, base) ||
           dump_fail(dump, file, "'%.*s' is no offset, so this is no file of a log", STR_ARG(stem));
}

/* ---- what was noticed ------------------------------------------------------------------------ */

static void print_remark(const struct remark *remark)
{
    int64_t a = remark->first, b = remark->second;

    switch (remark->kind) {
    case REMARK_INDEX:
        fprintf(stderr, "  Index offset: %" PRId64 ", log offset: %" PRId64 "\n", a, b);
        break;
    case REMARK_TIME:
        fprintf(stderr, "  Index timestamp: %" PRId64 ", log timestamp: %" PRId64 "\n", a, b);
        break;
    case REMARK_DISORDER:
        fprintf(stderr,
                "  Index timestamp: %" PRId64 ", Previously indexed timestamp: %" PRId64 "\n", a,
                b);
        break;
    case REMARK_NOT_FOUND:
        fprintf(stderr, "Indexed offset: %" PRId64 ", found log offset: %" PRId64 "\n", a, b);
        break;
    case REMARK_GAP:
        fprintf(stderr, "  %" PRId64 " is followed by %" PRId64 "\n", a, b);
        break;
    case REMARKS:
        break;
    }
}

static void print_remarks_of(const struct dump *dump, enum dump_remark kind, const char *path)
{
    static const char *const headings[REMARKS] = {
        [REMARK_INDEX] = "Mismatches in :",
        [REMARK_TIME] = "Found timestamp mismatch in :",
        [REMARK_DISORDER] = "Found out of order timestamp in :",
        [REMARK_NOT_FOUND] = "The following indexed offsets are not found in the log.",
        [REMARK_GAP] = "Non-consecutive offsets in ",
    };
    bool newest_first = kind == REMARK_INDEX || kind == REMARK_GAP; /* as they are put in a list */

    fprintf(stderr, "%s%s\n", headings[kind], kind == REMARK_NOT_FOUND ? "" : path);
    for (size_t i = 0; i < dump->remarks_len; i++) {
        const struct remark *remark = &dump->remarks[newest_first ? dump->remarks_len - 1 - i : i];

        if (remark->kind == kind && strcmp(remark->path, path) == 0)
            print_remark(remark);
    }
}

/* The paths that have remarks of a kind, in the order of their first ones. */
static size_t paths_of(const struct dump *dump, enum dump_remark kind, const char **paths)
{
    size_t count = 0;

    for (size_t i = 0; i < dump->remarks_len; i++) {
        size_t j = 0;

        if (dump->remarks[i].kind != kind)
            continue;
        if (count > 0 && strcmp(paths[count - 1], dump->remarks[i].path) == 0)
            continue;
        while (j < count && strcmp(paths[j], dump->remarks[i].path) != 0)
            j++;
        if (j == count)
            paths[count++] = dump->remarks[i].path;
    }
    return count;
}

static void row_remarks(struct dump *dump)
{
    static const struct {
        const char *name, *first, *second;
    } kinds[REMARKS] = {
        [REMARK_INDEX] = { "index_mismatch", "index_offset", "log_offset" },
        [REMARK_TIME] = { "time_mismatch", "index_timestamp", "log_timestamp" },
        [REMARK_DISORDER] = { "time_out_of_order", "index_timestamp", "timestamp_before" },
        [REMARK_NOT_FOUND] = { "offset_not_found", "index_offset", "found_offset" },
        [REMARK_GAP] = { "gap", "offset", "next_offset" },
    };

    for (size_t i = 0; i < dump->remarks_len; i++) {
        const struct remark *remark = &dump->remarks[i];

        dump_row_begin(dump, "remark");
        dump_row_text("remark", str_of(kinds[remark->kind].name));
        dump_row_text("file", str_of(remark->path));
        dump_row_int(kinds[remark->kind].first, remark->first);
        dump_row_int(kinds[remark->kind].second, remark->second);
        dump_row_end(dump);
    }
}

static void print_remarks(const struct dump *dump)
{
    const char **paths = xcalloc(dump->remarks_len + 1, sizeof *paths);
    int32_t *hashes = xcalloc(dump->remarks_len + 1, sizeof *hashes);
    size_t *order = xcalloc(dump->remarks_len + 1, sizeof *order);

    fflush(stdout);
    for (int kind = 0; kind < REMARKS; kind++) {
        size_t count = paths_of(dump, (enum dump_remark)kind, paths);

        for (size_t i = 0; i < count; i++)
            hashes[i] = str_java_hash(str_of(paths[i]));
        scala_hash_order(hashes, NULL, count, order);
        for (size_t i = 0; i < count; i++)
            print_remarks_of(dump, (enum dump_remark)kind, paths[order[i]]);
    }
    free(paths);
    free(hashes);
    free(order);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The path as Java's File has it: no slash twice, none at the end. */
static const char *normal(struct dump *dump, struct str path)
{
    char *text = arena_cstr(&dump->cli->arena, path), *to = text;

    for (const char *at = text; *at != '\0'; at++)
        if (*at != '/' || to == text || to[-1] != '/')
            *to++ = *at;
    if (to > text + 1 && to[-1] == '/')
        to--;
    *to = '\0';
    return text;
}

static bool dump_one(struct dump *dump, const char *path)
{
    static const struct {
        const char *ending;
        bool (*print)(struct dump *dump, const struct dump_file *file);
    } kinds[] = { { ".log", dump_log },
                  { ".index", dump_index },
                  { ".timeindex", dump_time_index },
                  { ".snapshot", dump_snapshot },
                  { ".txnindex", dump_txn_index } };
    struct dump_file file = { .path = path, .absolute = path };
    const char *slash = strrchr(path, '/');
    char dir[DISK_PATH_MAX];

    file.name = slash != NULL ? slash + 1 : path;
    if (path[0] != '/' && getcwd(dir, sizeof dir) != NULL)
        file.absolute = cli_text(dump->cli, "%s/%s", dir, path);
    if (dump_has_rows(dump)) {
        dump_row_begin(dump, "file");
        dump_row_text("file", str_of(path));
        dump_row_end(dump);
    } else {
        printf("Dumping %s\n", path);
    }
    const char *ending = strrchr(file.name, '.');

    if (ending == NULL)
        return dump_fail(dump, &file, "its name has no ending that says what it is");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(ending, kinds[i].ending) == 0)
            return kinds[i].print(dump, &file);
    if (strcmp(ending, ".checkpoint") == 0)
        return dump_fail(dump, &file,
                         "this is a snapshot of KRaft's metadata, which is none of "
                         "ours");
    fflush(stdout);
    cli_note(dump->cli, "Ignoring unknown file %s", path);
    return true;
}

struct names {
    struct dump *dump;
    const char *dir;
    char **paths;
    size_t len, cap;
};

static void add_name(void *ctx, const char *name, bool is_dir)
{
    struct names *names = ctx;
    size_t len = strlen(name);

    if (is_dir || len < 4 || strcmp(name + len - 4, ".log") != 0)
        return;
    if (names->len == names->cap) {
        names->cap = 2 * names->cap + 16;
        names->paths = xrealloc(names->paths, names->cap * sizeof *names->paths);
    }
    names->paths[names->len++] = xasprintf("%s/%s", names->dir, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A directory stands for the segments in it. */
static bool dump_path(struct dump *dump, struct str given)
{
    const char *path = normal(dump, given);
    struct names names = { .dump = dump, .dir = path };
    struct disk_stat stat;
    bool whole = true;

    if (disk_stat(disk_posix(), path, &stat) != ERR_OK || !stat.is_dir)
        return dump_one(dump, path);
    enum err err = disk_list(disk_posix(), path, add_name, &names);

    if (err != ERR_OK || names.len == 0) {
        struct dump_file file = { .path = path, .absolute = path, .name = path };

        whole = dump_fail(dump, &file, "%s",
                          err != ERR_OK ? err_text(err) : "there is no .log in this directory");
    } else {
        qsort(names.paths, names.len, sizeof *names.paths, by_name);
    }
    for (size_t i = 0; i < names.len; i++) {
        whole = whole && dump_one(dump, cli_text(dump->cli, "%s", names.paths[i]));
        free(names.paths[i]);
    }
    free(names.paths);
    return whole;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool decoder_of(struct dump *dump, const char *option, enum dump_decoder *decoder)
{
    static const char *const packages[] = { "org.apache.kafka.tools.api.", "kafka.serializer." };
    static const struct {
        const char *name;
        enum dump_decoder decoder;
    } known[] = { { "StringDecoder", DUMP_TEXT },
                  { "IntegerDecoder", DUMP_INT },
                  { "LongDecoder", DUMP_LONG },
                  { "DefaultDecoder", DUMP_BYTES } };
    const char *class = args_text(&dump->cli->args, option, NULL), *name = class;

    if (class == NULL)
        return true;
    dump->print_data = true;
    for (size_t i = 0; i < ARRAY_LEN(packages); i++)
        if (strncmp(class, packages[i], strlen(packages[i])) == 0)
            name = class + strlen(packages[i]);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        if (strncmp(class, packages[1], strlen(packages[1])) == 0)
            fprintf(dump_has_rows(dump) ? stderr : stdout,
                    "%s is deprecated. Please use %s%s instead\n", class, packages[0], name);
        *decoder = known[i].decoder;
        return true;
    }
    cli_fail(dump->cli, CLI_USAGE,
             cli_text(dump->cli, "--%s: the decoder '%s' is not known", option, class),
             "there are StringDecoder, IntegerDecoder, LongDecoder and DefaultDecoder",
             "moldau help log dump");
    return false;
}

static enum exit_code set_up(struct dump *dump)
{
    const struct args *args = &dump->cli->args;
    int64_t max_message = 5 * 1024 * 1024, max = INT32_MAX;

    if (dump->cli->print.shape != PRINT_TABLE && dump->cli->print.shape != PRINT_JSON &&
        dump->cli->print.shape != PRINT_NDJSON)
        return cli_fail(dump->cli, CLI_USAGE, "log dump prints lines, JSON or NDJSON",
                        "the lines are those of Kafka's tool, for whatever reads these",
                        "moldau log dump -o ndjson FILE");
    if (args_has(args, "cluster-metadata-decoder") || args_has(args, "remote-log-metadata-decoder"))
        return cli_fail(dump->cli, CLI_REFUSED,
                        "records of KRaft's metadata log and of tiered storage are not decoded",
                        "a cluster coordinated by ZooKeeper has none of them",
                        "moldau log dump --print-data-log prints them undecoded");
    if (!args_number(args, "max-message-size", 0, INT32_MAX, &max_message) ||
        !args_number(args, "max-bytes", 0, INT32_MAX, &max) ||
        !decoder_of(dump, "value-decoder-class", &dump->value) ||
        !decoder_of(dump, "key-decoder-class", &dump->key))
        return CLI_USAGE;
    dump->max_message_bytes = (int32_t)max_message;
    dump->max_bytes = (int32_t)max;
    dump->skip_metadata = args_has(args, "skip-record-metadata");
    dump->verify_only = args_has(args, "verify-index-only");
    dump->sanity_only = args_has(args, "index-sanity-check");
    if (args_has(args, "offsets-decoder"))
        dump->parser = DUMP_OFFSETS;
    else if (args_has(args, "transaction-log-decoder"))
        dump->parser = DUMP_TRANSACTIONS;
    dump->print_data =
        dump->print_data || args_has(args, "print-data-log") || dump->parser != DUMP_PLAIN;
    dump->deep = dump->print_data || args_has(args, "deep-iteration");
    return CLI_OK;
}

static bool dump_all(struct dump *dump)
{
    const struct args *args = &dump->cli->args;
    const char *list;
    int at = 0;

    while ((list = args_next(args, "files", &at)) != NULL) {
        struct str path, rest = str_of(list);

        while (!str_is_null(rest)) {
            path = str_split(rest, ',', &rest);
            if (path.len > 0 && !dump_path(dump, path))
                return false;
        }
    }
    for (int i = 0; i < args->operands_len; i++)
        if (!dump_path(dump, str_of(args->operands[i])))
            return false;
    return true;
}

enum exit_code cmd_log_dump(struct cli *cli)
{
    struct dump dump = { .cli = cli };
    enum exit_code code = set_up(&dump);

    if (code != CLI_OK)
        return code;
    if (cli->args.operands_len == 0 && !args_has(&cli->args, "files"))
        return cli_fail(cli, CLI_USAGE, "no file is named", NULL, "moldau help log dump");
    arena_init(&dump.scratch, SIZE_MAX);
    if (!dump_all(&dump))
        code = CLI_FAILED;
    else if (dump_has_rows(&dump))
        row_remarks(&dump);
    else
        print_remarks(&dump);
    if (dump_has_rows(&dump))
        dump_rows_end(&dump);
    arena_fini(&dump.scratch);
    free(dump.remarks);
    return code;
}
