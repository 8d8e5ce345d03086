/*
 * log verify: the directories first, then their partitions by several threads that draw from one
 * list, then all findings in the order of the paths.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/thread.h"
#include "controller/cli/cli.h"
#include "controller/cli/verify_int.h"

#define THREADS_MOST 64

struct verify {
    struct cli *cli;
    struct verify_dir *dirs;
    size_t dirs_len;
    struct verify_part *parts;
    size_t parts_len, parts_cap;
    bool headers_only;
    atomic_size_t next; /* part to be drawn */
    int64_t counts[VERIFY_LEVELS];
    int64_t segments, bytes, batches, records, took_ms;
};

/* ---- what there is --------------------------------------------------------------------------- */

static void add_part(struct verify *verify, struct verify_dir *dir, const char *path, char *topic,
                     int32_t partition, bool is_future)
{
    if (verify->parts_len == verify->parts_cap) {
        verify->parts_cap = 2 * verify->parts_cap + 64;
        verify->parts = xrealloc(verify->parts, verify->parts_cap * sizeof *verify->parts);
    }
    verify->parts[verify->parts_len++] = (struct verify_part){
        .dir = dir,
        .path = xstrdup(path),
        .topic = topic,
        .partition = partition,
        .is_future = is_future,
        .headers_only = verify->headers_only,
    };
}

struct listing {
    struct verify *verify;
    struct verify_dir *dir;
};

static bool ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name), tail = strlen(ending);

    return len > tail && strcmp(name + len - tail, ending) == 0;
}

static void take_name(void *ctx, const char *name, bool is_dir)
{
    struct listing *listing = ctx;
    struct verify_dir *dir = listing->dir;
    char *path, *topic;
    int32_t partition;
    bool is_future;

    if (!is_dir || strcmp(name, "lost+found") == 0)
        return;
    path = xasprintf("%s/%s", dir->path, name);
    if (ends_in(name, "-delete"))
        verify_find(&dir->findings, FLAW_on_its_way_out, path, -1, -1, "not looked into");
    else if (!verify_parse_name(name, &topic, &partition, &is_future) && !ends_in(name, "-stray"))
        verify_find(&dir->findings, FLAW_strange_directory, path, -1, -1, "not looked into");
    else if (ends_in(name, "-stray"))
        verify_find(&dir->findings, FLAW_stray, path, -1, -1, "not looked into");
    else {
        if (is_future)
            verify_find(&dir->findings, FLAW_future, path, -1, -1, "on its way here");
        add_part(listing->verify, dir, path, topic, partition, is_future);
    }
    free(path);
}

/* A directory of one partition: its name says so, and what lies in it. */
static bool is_partition(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *file = xasprintf("%s/" META_FILE, path), *topic = NULL;
    struct disk_stat stat;
    int32_t partition;
    bool is_future,
        yes = verify_parse_name(slash != NULL ? slash + 1 : path, &topic, &partition, &is_future) &&
              disk_stat(disk_posix(), file, &stat) != ERR_OK;

    if (yes && ends_in(path, "-stray"))
        yes = false;
    free(topic);
    free(file);
    return yes;
}

static void take_partition(struct verify *verify, struct verify_dir *dir, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *topic;
    int32_t partition;
    bool is_future;

    verify_dir_init(dir,
                    slash == NULL ? "."
                                  : cli_text(verify->cli, "%.*s",
                                             slash == path ? 1 : (int)(slash - path), path),
                    false);
    if (verify_parse_name(slash != NULL ? slash + 1 : path, &topic, &partition, &is_future))
        add_part(verify, dir, path, topic, partition, is_future);
}

static enum exit_code take_operand(struct verify *verify, const char *given)
{
    char *path = arena_cstr(&verify->cli->arena, str_of(given));
    struct verify_dir *dir = &verify->dirs[verify->dirs_len];
    struct listing listing = { verify, dir };
    struct disk_stat stat;
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    enum err err = disk_stat(disk_posix(), path, &stat);

    if (err == ERR_OK && !stat.is_dir)
        err = ERR_NOT_FOUND;
    if (err != ERR_OK)
        return cli_fail(
            verify->cli, err == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED,
            cli_text(verify->cli, "%s: %s", given,
                     err == ERR_NOT_FOUND ? "there is no such directory" : err_text(err)),
            NULL, "moldau help log verify");
    verify->dirs_len++;
    if (is_partition(path)) {
        take_partition(verify, dir, path);
        return CLI_OK;
    }
    verify_dir_init(dir, path, true);
    err = disk_list(disk_posix(), path, take_name, &listing);
    if (err != ERR_OK)
        verify_find(&dir->findings, FLAW_unreadable, path, -1, -1, "%s", err_text(err));
    return CLI_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct verify_part *)a)->path, ((const struct verify_part *)b)->path);
}

/* Parts are sorted by now. */
static bool is_there(const struct verify *verify, const char *dir, const char *topic,
                     int32_t partition)
{
    struct verify_part key = { .path = xasprintf("%s/%s-%" PRId32, dir, topic, partition) };
    bool there = verify->parts_len > 0 && bsearch(&key, verify->parts, verify->parts_len,
                                                  sizeof *verify->parts, by_path) != NULL;

    free(key.path);
    return there;
}

/* Between directories, and between checkpoints and what is there. */
static void compare_dirs(struct verify *verify)
{
    for (size_t i = 0; i < verify->parts_len; i++) {
        struct verify_part *part = &verify->parts[i];

        for (size_t d = 0; d < verify->dirs_len && !part->is_future; d++)
            if (part->dir != &verify->dirs[d] &&
                is_there(verify, verify->dirs[d].path, part->topic, part->partition))
                verify_find(&part->findings, FLAW_partition_twice, part->path, -1, -1,
                            "%s has it, too", verify->dirs[d].path);
    }
    for (size_t d = 0; d < verify->dirs_len; d++) {
        struct verify_dir *dir = &verify->dirs[d];
        char *path = xasprintf("%s/" RECOVERY_POINT_FILE, dir->path);

        for (size_t i = 0; dir->is_data_dir && i < dir->recovery.count; i++)
            if (!is_there(verify, dir->path, dir->recovery.entries[i].topic,
                          dir->recovery.entries[i].partition))
                verify_find(&dir->findings, FLAW_checkpoint_foreign, path, -1, -1, "%s-%" PRId32,
                            dir->recovery.entries[i].topic, dir->recovery.entries[i].partition);
        free(path);
    }
}

/* ---- checking -------------------------------------------------------------------------------- */

static void check_some(void *arg)
{
    struct verify *verify = arg;

    for (;;) {
        size_t i = atomic_fetch_add_explicit(&verify->next, 1, memory_order_relaxed);

        if (i >= verify->parts_len)
            return;
        verify_part_run(&verify->parts[i]);
    }
}

static void check_all(struct verify *verify, int64_t threads_wanted)
{
    struct thread threads[THREADS_MOST];
    size_t count = (size_t)threads_wanted;
    int64_t start_ms = clock_mono_ms();

    if (count > verify->parts_len)
        count = verify->parts_len;
    for (size_t i = 1; i < count; i++)
        thread_start(&threads[i], T_IO, (int)i, check_some, verify);
    check_some(verify);
    for (size_t i = 1; i < count; i++)
        thread_join(&threads[i]);
    verify->took_ms = clock_mono_ms() - start_ms;
    for (size_t i = 0; i < verify->parts_len; i++) {
        verify->segments += verify->parts[i].segments;
        verify->bytes += verify->parts[i].bytes;
        verify->batches += verify->parts[i].batches;
        verify->records += verify->parts[i].records;
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

static const char *on_start(const struct finding *finding)
{
    return finding->on_start != NULL ? finding->on_start : flaw_on_start(finding->flaw);
}

static const char *place(struct cli *cli, const struct finding *finding)
{
    if (finding->pos >= 0 && finding->offset >= 0)
        return cli_text(cli, " at byte %" PRId64 ", offset %" PRId64, finding->pos,
                        finding->offset);
    if (finding->pos >= 0)
        return cli_text(cli, " at byte %" PRId64, finding->pos);
    return finding->offset >= 0 ? cli_text(cli, " at offset %" PRId64, finding->offset) : "";
}

static void tell_person(struct verify *verify, const struct finding *finding)
{
    static const enum cell_hint hints[] = { HINT_DIM, HINT_DEGRADED, HINT_DEGRADED, HINT_ACT };
    static const char *const marks[] = { "·", "~", "!", "✗" };
    struct cli *cli = verify->cli;
    enum verify_level level = flaw_level(finding->flaw);

    printf("  %s%s%s %s%s: %s\n      %s\n", print_color(cli->print.color, hints[level]),
           marks[level], print_plain(cli->print.color), finding->file, place(cli, finding),
           finding->what, flaw_meaning(finding->flaw));
    if (on_start(finding) != NULL)
        printf("      on start: %s\n", on_start(finding));
}

static void put_row(struct verify *verify, struct table *table, const struct finding *finding)
{
    static const char *const words[] = { "note", "mended", "harm", "loss" };
    struct cell *row = table_row(table);

    row[0] = cell_cstr(words[flaw_level(finding->flaw)]);
    row[1] = cell_cstr(flaw_name(finding->flaw));
    row[2] = cell_cstr(finding->file);
    if (finding->pos >= 0)
        row[3] = cell_int(finding->pos);
    if (finding->offset >= 0)
        row[4] = cell_int(finding->offset);
    row[5] = cell_cstr(finding->what);
    row[6] = cell_cstr(flaw_meaning(finding->flaw));
    if (on_start(finding) != NULL)
        row[7] = cell_cstr(on_start(finding));
    (void)verify;
}

/* Of one kind in one file only the first few are told to people; programs get them all. */
static void tell(struct verify *verify, const struct findings *findings, struct table *table)
{
    size_t same = 0;

    for (size_t i = 0; i < findings->len; i++) {
        const struct finding *finding = &findings->list[i];

        verify->counts[flaw_level(finding->flaw)]++;
        if (table != NULL) {
            put_row(verify, table, finding);
            continue;
        }
        same = i > 0 && findings->list[i - 1].flaw == finding->flaw &&
                       strcmp(findings->list[i - 1].file, finding->file) == 0
                   ? same + 1
                   : 0;
        if (same < FLAW_MOST)
            tell_person(verify, finding);
        else if (same == FLAW_MOST)
            printf("      more like this in %s: moldau log verify -o csv tells them all\n",
                   finding->file);
    }
}

static const char *verdict(const struct verify *verify)
{
    if (verify->counts[VERIFY_LOSS] > 0)
        return "damaged";
    if (verify->counts[VERIFY_HARM] > 0)
        return "impaired";
    return verify->counts[VERIFY_MENDED] > 0 ? "to be mended" : "sound";
}

static void tell_all(struct verify *verify, struct table *table)
{
    for (size_t i = 0; i < verify->dirs_len; i++)
        tell(verify, &verify->dirs[i].findings, table);
    for (size_t i = 0; i < verify->parts_len; i++)
        tell(verify, &verify->parts[i].findings, table);
}

static void report_people(struct verify *verify)
{
    struct cli *cli = verify->cli;

    tell_all(verify, NULL);
    printf("%s  %" PRId64 " losses, %" PRId64 " harms, %" PRId64 " to be mended, %" PRId64
           " notes\n",
           verdict(verify), verify->counts[VERIFY_LOSS], verify->counts[VERIFY_HARM],
           verify->counts[VERIFY_MENDED], verify->counts[VERIFY_NOTE]);
    printf("%zu partitions, %" PRId64 " segments, %.*s, %" PRId64 " batches, %" PRId64
           " records read in %" PRId64 " ms\n",
           verify->parts_len, verify->segments,
           STR_ARG(print_size(&cli->arena, &cli->print, verify->bytes)), verify->batches,
           verify->records, verify->took_ms);
    if (verify->counts[VERIFY_LOSS] > 0)
        printf("next: with the broker stopped, remove a damaged partition's directory; it is "
               "copied anew from its leader.\n      Where this was the only good replica, moldau "
               "log dump shows what can still be read\n");
}

static void report_programs(struct verify *verify)
{
    static const struct column columns[] = {
        { .key = "level", .head = "LEVEL" },
        { .key = "flaw", .head = "FLAW" },
        { .key = "file", .head = "FILE" },
        { .key = "pos", .head = "POS", .right = true },
        { .key = "offset", .head = "OFFSET", .right = true },
        { .key = "what", .head = "WHAT" },
        { .key = "meaning", .head = "MEANING" },
        { .key = "on_start", .head = "ON START" },
        { .key = NULL },
    };
    struct cli *cli = verify->cli;
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "findings", columns);

    tell_all(verify, table);
    report_fact(report, "verdict", cell_cstr(verdict(verify)));
    report_fact(report, "partitions", cell_int((int64_t)verify->parts_len));
    report_fact(report, "segments", cell_int(verify->segments));
    report_fact(report, "bytes", cell_int(verify->bytes));
    report_fact(report, "batches", cell_int(verify->batches));
    report_fact(report, "records", cell_int(verify->records));
    report_fact(report, "took_ms", cell_int(verify->took_ms));
    report_print(report, &cli->print, stdout);
}

static void fini(struct verify *verify)
{
    for (size_t i = 0; i < verify->parts_len; i++)
        verify_part_fini(&verify->parts[i]);
    for (size_t i = 0; i < verify->dirs_len; i++)
        verify_dir_fini(&verify->dirs[i]);
    free(verify->parts);
    free(verify->dirs);
}

enum exit_code cmd_log_verify(struct cli *cli)
{
    struct verify verify = { .cli = cli, .headers_only = args_has(&cli->args, "headers-only") };
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN);
    enum exit_code code = CLI_OK;

    threads = threads < 1 ? 1 : threads > THREADS_MOST ? THREADS_MOST : threads;
    if (!args_number(&cli->args, "threads", 1, THREADS_MOST, &threads))
        return CLI_USAGE;
    verify.dirs = xcalloc((size_t)cli->args.operands_len, sizeof *verify.dirs);
    for (int i = 0; i < cli->args.operands_len && code == CLI_OK; i++)
        code = take_operand(&verify, cli->args.operands[i]);
    if (code == CLI_OK) {
        if (verify.parts_len > 0)
            qsort(verify.parts, verify.parts_len, sizeof *verify.parts, by_path);
        compare_dirs(&verify);
        check_all(&verify, threads);
        if (report_is_for_people(&cli->print))
            report_people(&verify);
        else
            report_programs(&verify);
        if (verify.counts[VERIFY_LOSS] > 0)
            code = CLI_UNAVAILABLE;
        else if (verify.counts[VERIFY_HARM] > 0 || verify.counts[VERIFY_MENDED] > 0)
            code = CLI_DEGRADED;
    }
    fini(&verify);
    return code;
}
