/*
 * How far a move is nobody counts: the size of the leader's replica is what each new replica has to
 * reach, so both are read from the brokers' log directories. A partition that moved while it was
 * watched counts as copied whole, so that the total does not shrink under the eyes.
 */
#include "controller/cli/moves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "controller/cli/admin.h"
#include "controller/cli/disks.h"
#include "controller/cli/scope.h"
#include "controller/cli/peek.h"
#include "controller/cli/progress.h"
#include "controller/cli/rk.h"
#include "controller/cli/throttle.h"
#include "controller/cli/topic.h"

#define BROKER_WAIT_MS 1500
#define WATCH_MS       1000
#define GLANCE_MS      500 /* between two looks where only one is shown, for the rate */
#define ROWS_SHOWN     20
#define BAR_WIDTH      24

uint32_t planned_copies(const struct planned *move)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < move->to.n; i++)
        n += !ids_has(move->from, move->to.at[i]);
    return n;
}

int moves_only_changes(struct planned *moves, int n)
{
    int left = 0;

    for (int i = 0; i < n; i++) {
        if (!ids_eq(moves[i].from, moves[i].to))
            moves[left++] = moves[i];
    }
    return left;
}

/* Brokers that answer, of all. */
static const int32_t *live_brokers(struct link *link, struct arena *arena, int *len)
{
    int n = link_brokers_len(link);
    struct link_health *health = arena_zalloc(arena, (size_t)n + 1, sizeof *health);
    int32_t *ids = arena_zalloc(arena, (size_t)n + 1, sizeof *ids);

    *len = 0;
    link_probe(link, BROKER_WAIT_MS, health);
    for (int i = 0; i < n; i++) {
        if (health[i].err == ERR_OK)
            ids[(*len)++] = health[i].id;
    }
    return ids;
}

static int by_name(const void *a, const void *b)
{
    const struct disk_part *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

void moves_measure(struct cli *cli, struct link *link, struct planned *moves, int n)
{
    struct disk_part *parts = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *parts);
    struct disks disks;
    const int32_t *ids;
    int len;

    for (int i = 0; i < n; i++)
        parts[i] = (struct disk_part){ .topic = moves[i].topic, .partition = moves[i].partition };
    qsort(parts, (size_t)n, sizeof *parts, by_name);
    ids = live_brokers(link, &cli->arena, &len);
    disks_look(link, ids, len, parts, n, &cli->arena, &disks);
    for (int i = 0; i < n; i++) {
        moves[i].bytes = disks_bytes(&disks, moves[i].leader, moves[i].topic, moves[i].partition);
        for (uint32_t r = 0; r < moves[i].from.n && moves[i].bytes < 0; r++)
            moves[i].bytes =
                disks_bytes(&disks, moves[i].from.at[r], moves[i].topic, moves[i].partition);
    }
}

/* ---- a plan ---------------------------------------------------------------------------------- */

static struct cell ids_cell(struct ids ids)
{
    return cell_ids(ids.at, (int32_t)ids.n);
}

/* Of those that are not in the other list. */
static struct cell minus_cell(struct cli *cli, struct ids ids, struct ids other)
{
    int32_t *left = arena_zalloc(&cli->arena, ids.n + 1, sizeof *left);
    int32_t n = 0;

    for (uint32_t i = 0; i < ids.n; i++) {
        if (!ids_has(other, ids.at[i]))
            left[n++] = ids.at[i];
    }
    return cell_ids(left, n);
}

struct totals {
    int64_t bytes;
    bool is_whole; /* the sizes of all are known */
};

static struct totals totals_of(const struct planned *moves, int n)
{
    struct totals totals = { .is_whole = true };

    for (int i = 0; i < n; i++) {
        uint32_t copies = planned_copies(&moves[i]);

        if (moves[i].bytes >= 0)
            totals.bytes += (int64_t)copies * moves[i].bytes;
        else if (copies > 0)
            totals.is_whole = false;
    }
    return totals;
}

static void plan_table(struct cli *cli, struct report *report, const struct planned *moves, int n,
                       const struct move *results)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "from", .head = "FROM" },
        { .key = "to", .head = "TO" },
        { .key = "adds", .head = "ADDS" },
        { .key = "removes", .head = "REMOVES" },
        { .key = "copy_bytes", .head = "COPY", .right = true },
        { .key = "error", .head = "ERROR", .wide = true },
        { .key = NULL },
    };
    struct table *table = report_table(report, "moves", columns);

    for (int i = 0; i < n; i++) {
        struct cell *row = table_row(table);
        int64_t copies = planned_copies(&moves[i]);

        row[0] = cell_text(moves[i].topic);
        row[1] = cell_int(moves[i].partition);
        row[2] = ids_cell(moves[i].from);
        row[3] = ids_cell(moves[i].to);
        row[4] = minus_cell(cli, moves[i].to, moves[i].from);
        row[5] = minus_cell(cli, moves[i].from, moves[i].to);
        if (copies == 0)
            row[6] = cell_size(0);
        else if (moves[i].bytes >= 0)
            row[6] = cell_size(copies * moves[i].bytes);
        if (results != NULL && results[i].err != ERR_OK)
            row[7] = cell_cstr(results[i].why != NULL ? results[i].why : err_text(results[i].err));
    }
}

static int by_plan(const void *a, const void *b)
{
    const struct planned *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static enum exit_code report_failures(struct cli *cli, const struct move *results, int n)
{
    enum exit_code code = CLI_OK;

    for (int i = 0; i < n; i++) {
        if (results[i].err != ERR_OK)
            code = cli_fail(
                cli, cli_code(results[i].err),
                cli_text(cli, "cannot move %s: %s",
                         scope_name(cli, results[i].topic, results[i].partition),
                         results[i].why != NULL ? results[i].why : err_text(results[i].err)),
                "it stays where it is",
                cli_text(cli, "moldau partition show %s",
                         scope_name(cli, results[i].topic, results[i].partition)));
    }
    return code;
}

static void print_plan_heading(struct cli *cli, const struct planned *moves, int n,
                               const char *what)
{
    struct totals totals = totals_of(moves, n);

    printf("%s: %s change, %.*s%s to copy\n", what, cli_count(cli, n, "partition"),
           STR_ARG(print_size(&cli->arena, &cli->print, totals.bytes)),
           totals.is_whole ? "" : " or more");
}

static enum exit_code start(struct cli *cli, struct link *link, const struct planned *moves, int n,
                            struct move *results)
{
    const char *throttle = args_text(&cli->args, "throttle", NULL);
    enum exit_code code = CLI_OK;
    enum err err;

    if (throttle != NULL && n > 0)
        code = throttle_set(cli, link, throttle, moves, n);
    if (code != CLI_OK)
        return code;
    err = admin_move(cli, link, results, n);
    return err == ERR_OK ? CLI_OK : link_fail(link, err, "move partitions");
}

/* After a plan was printed. */
static enum exit_code go_on(struct cli *cli, struct link *link, const struct planned *moves, int n,
                            bool apply)
{
    bool throttled = args_has(&cli->args, "throttle");
    enum exit_code code;

    fflush(stdout);
    if (n > 0 && !apply && report_is_for_people(&cli->print))
        cli_note(cli, "nothing was done yet: --apply does it");
    if (n == 0 || !apply)
        return CLI_OK;
    if (!args_has(&cli->args, "watch")) {
        if (report_is_for_people(&cli->print))
            cli_note(cli, "started; follow it: moldau reassign status -w%s",
                     throttled ? "\nthen take the throttle away: moldau reassign throttle --clear"
                               : "");
        return CLI_OK;
    }
    code = moves_status(cli, link, true, moves, n);
    if (code == CLI_OK && throttled && !rk_stopped())
        code = throttle_clear(cli, link);
    return code;
}

enum exit_code moves_run(struct cli *cli, struct link *link, struct planned *moves, int n,
                         const char *what, bool apply)
{
    struct report *report = report_new(&cli->arena);
    struct move *results = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *results);
    struct totals totals = totals_of(moves, n);
    enum exit_code code = CLI_OK;

    qsort(moves, (size_t)n, sizeof *moves, by_plan); /* the order of the results as well */
    for (int i = 0; i < n; i++)
        results[i] = (struct move){ .topic = moves[i].topic,
                                    .partition = moves[i].partition,
                                    .to = moves[i].to };
    if (apply)
        code = start(cli, link, moves, n, results);
    if (code != CLI_OK)
        return code;
    report_fact(report, "applied", cell_bool(apply));
    report_fact(report, "partitions", cell_int(n));
    report_fact(report, "copy_bytes", cell_int(totals.bytes));
    plan_table(cli, report, moves, n, apply ? results : NULL);
    if (report_is_for_people(&cli->print))
        print_plan_heading(cli, moves, n, what);
    report_print(report, &cli->print, stdout);
    if (apply)
        code = report_failures(cli, results, n);
    return code == CLI_OK ? go_on(cli, link, moves, n, apply) : code;
}

/* ---- on the way ------------------------------------------------------------------------------ */

/* A partition that moves, or has moved while we watched. */
struct under_way {
    struct str topic;
    int32_t partition;
    struct ids replicas, adding, removing;
    int32_t leader;
    int64_t want, have; /* over all new replicas */
    int64_t lag;        /* records, of the farthest new replica; -1 not known */
    int32_t silent;     /* a new replica's broker that does not answer; -1 none */
    bool is_done;
};

struct watch {
    struct arena arena; /* of what lasts from look to look */
    struct cli *cli;
    struct link *link;
    struct under_way *at;
    int len, cap;
    int sorted; /* of len, by topic and partition */
    struct progress progress;
};

static int by_under_way(const void *a, const void *b)
{
    const struct under_way *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static struct under_way *find(const struct watch *watch, struct str topic, int32_t partition)
{
    const struct under_way key = { .topic = topic, .partition = partition };

    return watch->sorted == 0
               ? NULL
               : bsearch(&key, watch->at, (size_t)watch->sorted, sizeof *watch->at, by_under_way);
}

/* One that is not there yet; sort() follows. */
static struct under_way *add(struct watch *watch, struct str topic, int32_t partition)
{
    if (watch->len == watch->cap) {
        int cap = watch->cap == 0 ? 64 : 2 * watch->cap;
        struct under_way *grown = arena_zalloc(&watch->arena, (size_t)cap, sizeof *grown);

        if (watch->len > 0)
            memcpy(grown, watch->at, (size_t)watch->len * sizeof *grown);
        watch->at = grown;
        watch->cap = cap;
    }
    watch->at[watch->len] =
        (struct under_way){ .topic = arena_str(&watch->arena, topic), .partition = partition };
    return &watch->at[watch->len++];
}

static void sort(struct watch *watch)
{
    if (watch->len > watch->sorted)
        qsort(watch->at, (size_t)watch->len, sizeof *watch->at, by_under_way);
    watch->sorted = watch->len;
}

static struct ids ids_dup(struct arena *arena, struct ids ids)
{
    return (struct ids){ .at = arena_dup(arena, ids.at, ids.n * sizeof *ids.at), .n = ids.n };
}

/* What moves now; those that did and do not any more are done. */
static enum err list_moving(struct watch *watch, struct arena *arena)
{
    struct moving *moving;
    int len;
    enum err err = admin_moving(watch->cli, watch->link, arena, &moving, &len);

    if (err != ERR_OK)
        return err;
    for (int i = 0; i < watch->len; i++)
        watch->at[i].is_done = true;
    for (int i = 0; i < len; i++) {
        struct under_way *one = find(watch, moving[i].topic, moving[i].partition);

        if (one == NULL)
            one = add(watch, moving[i].topic, moving[i].partition);
        one->is_done = false;
        if (ids_eq(one->replicas, moving[i].replicas) && ids_eq(one->adding, moving[i].adding))
            continue;
        one->replicas = ids_dup(&watch->arena, moving[i].replicas);
        one->adding = ids_dup(&watch->arena, moving[i].adding);
        one->removing = ids_dup(&watch->arena, moving[i].removing);
    }
    sort(watch);
    return ERR_OK;
}

static enum err find_leaders(struct watch *watch, struct arena *arena,
                             struct metadata_response *seen)
{
    struct str *names = arena_zalloc(arena, (size_t)watch->len + 1, sizeof *names);
    int32_t n = 0;
    enum err err;

    for (int i = 0; i < watch->len; i++) {
        if (!watch->at[i].is_done && (n == 0 || !str_eq(names[n - 1], watch->at[i].topic)))
            names[n++] = watch->at[i].topic;
    }
    err = link_metadata(watch->link, LINK_ANY, names, n, seen, arena);
    for (int32_t t = 0; err == ERR_OK && t < seen->topics_len; t++) {
        for (int32_t p = 0; p < seen->topics[t].partitions_len; p++) {
            struct under_way *one =
                find(watch, seen->topics[t].name, seen->topics[t].partitions[p].partition_index);

            if (one != NULL)
                one->leader = seen->topics[t].partitions[p].leader_id;
        }
    }
    return err;
}

static void measure_one(struct watch *watch, struct under_way *one, const struct disks *disks,
                        struct ids live, bool with_lag, struct arena *arena)
{
    const struct peek_part part = { .topic = one->topic, .partition = one->partition };
    int64_t whole = disks_bytes(disks, one->leader, one->topic, one->partition), end = -1;

    if (whole < 0)
        return; /* its leader does not answer now: what was known stays */
    one->want = one->have = 0;
    one->lag = one->silent = -1;
    if (with_lag && peek_end(watch->link, one->leader, &part, arena, &end) != ERR_OK)
        end = -1;
    for (uint32_t r = 0; r < one->adding.n; r++) {
        int32_t broker = one->adding.at[r];
        int64_t bytes = disks_bytes(disks, broker, one->topic, one->partition), leo;

        one->want += whole;
        one->have += bytes < 0 ? 0 : bytes > whole ? whole : bytes;
        if (!ids_has(live, broker))
            one->silent = broker;
        else if (end >= 0 && peek_end(watch->link, broker, &part, arena, &leo) == ERR_OK &&
                 end - leo > one->lag)
            one->lag = end > leo ? end - leo : 0;
    }
}

static enum err look(struct watch *watch, struct arena *arena)
{
    struct metadata_response seen;
    struct disk_part *parts;
    struct disks disks;
    struct ids live;
    int64_t total = 0, done = 0;
    const int32_t *ids;
    int n = 0, len;
    enum err err;

    err = list_moving(watch, arena);
    if (err == ERR_OK)
        err = find_leaders(watch, arena, &seen);
    if (err != ERR_OK)
        return err;
    ids = live_brokers(watch->link, arena, &len);
    live = (struct ids){ .at = ids, .n = (uint32_t)len };
    parts = arena_zalloc(arena, (size_t)watch->len + 1, sizeof *parts);
    for (int i = 0; i < watch->len; i++) {
        if (!watch->at[i].is_done)
            parts[n++] = (struct disk_part){ .topic = watch->at[i].topic,
                                             .partition = watch->at[i].partition };
    }
    qsort(parts, (size_t)n, sizeof *parts, by_name);
    disks_look(watch->link, ids, len, parts, n, arena, &disks);
    for (int i = 0, shown = 0; i < watch->len; i++) {
        struct under_way *one = &watch->at[i];

        if (one->is_done)
            one->have = one->want;
        else
            measure_one(watch, one, &disks, live, shown++ < ROWS_SHOWN, arena);
        total += one->want;
        done += one->have;
    }
    progress_step(&watch->progress, total, done, clock_mono_ms());
    return ERR_OK;
}

static struct str note_of(struct arena *arena, const struct under_way *one)
{
    if (one->leader < 0)
        return STR("no leader: nothing can be copied");
    if (one->silent >= 0)
        return arena_printf(arena, "broker %d does not answer", one->silent);
    if (one->adding.n == 0)
        return STR("replicas leave");
    if (one->lag == 0)
        return STR("joins the ISR next");
    return STR_EMPTY;
}

static int still_moving(const struct watch *watch)
{
    int n = 0;

    for (int i = 0; i < watch->len; i++)
        n += !watch->at[i].is_done;
    return n;
}

static struct report *status_report(struct watch *watch, int moving, struct arena *arena)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "adding", .head = "ADDING" },
        { .key = "removing", .head = "REMOVING" },
        { .key = "leader", .head = "LEADER", .right = true, .wide = true },
        { .key = "total_bytes", .head = "TOTAL", .right = true },
        { .key = "done_bytes", .head = "DONE", .right = true },
        { .key = "lag", .head = "LAG", .right = true },
        { .key = "note", .head = "NOTE" },
        { .key = NULL },
    };
    struct cli *cli = watch->cli;
    const struct progress *progress = &watch->progress;
    struct report *report = report_new(arena);
    struct table *table;

    report_fact(report, "moving", cell_int(moving));
    report_fact(report, "total_bytes", cell_int(progress->total));
    report_fact(report, "done_bytes", cell_int(progress->done));
    report_fact(report, "percent",
                cell_int(progress_permille(progress->total, progress->done) / 10));
    report_fact(report, "bytes_per_second",
                progress->rate >= 0 ? cell_int(progress->rate) : (struct cell){ 0 });
    report_fact(report, "left_ms",
                progress->left_ms >= 0 ? cell_int(progress->left_ms) : (struct cell){ 0 });
    table = report_table(report, "moves", columns);
    for (int i = 0, shown = 0; i < watch->len; i++) {
        const struct under_way *one = &watch->at[i];
        struct cell *row;

        if (one->is_done || (report_is_for_people(&cli->print) && shown++ == ROWS_SHOWN))
            continue;
        row = table_row(table);
        row[0] = cell_text(one->topic);
        row[1] = cell_int(one->partition);
        row[2] = ids_cell(one->replicas);
        row[3] = ids_cell(one->adding);
        row[4] = ids_cell(one->removing);
        row[5] = one->leader >= 0 ? cell_int(one->leader) : (struct cell){ 0 };
        row[6] = cell_size(one->want);
        row[7] = cell_size(one->have);
        row[8] = one->lag >= 0 ? cell_int(one->lag) : (struct cell){ 0 };
        row[9] = cell_hinted(cell_text(note_of(arena, one)), one->leader < 0    ? HINT_ACT
                                                             : one->silent >= 0 ? HINT_DEGRADED
                                                                                : HINT_NONE);
    }
    return report;
}

static void print_status(struct watch *watch, struct arena *arena)
{
    struct cli *cli = watch->cli;
    const struct progress *progress = &watch->progress;
    int32_t permille = progress_permille(progress->total, progress->done);
    int moving = still_moving(watch);
    struct report *report = status_report(watch, moving, arena);

    if (report_is_for_people(&cli->print) && watch->len == 0) {
        printf("nothing moves\n");
        return;
    }
    if (report_is_for_people(&cli->print)) {
        progress_bar(stdout, permille, BAR_WIDTH);
        printf("  %d.%d %%   %.*s of %.*s", permille / 10, permille % 10,
               STR_ARG(print_size(arena, &cli->print, progress->done)),
               STR_ARG(print_size(arena, &cli->print, progress->total)));
        if (progress->rate >= 0 && moving > 0)
            printf("   %.*s/s", STR_ARG(print_size(arena, &cli->print, progress->rate)));
        if (progress->left_ms > 0)
            printf("   %.*s left", STR_ARG(print_age(arena, progress->left_ms)));
        printf("   %d of %d partitions still move\n", moving, watch->len);
    }
    report_print(report, &cli->print, stdout);
    if (report_is_for_people(&cli->print) && moving > ROWS_SHOWN)
        printf("and %d more\n", moving - ROWS_SHOWN);
}

/* One look, printed. What is asked and printed is forgotten again: moves may take days. */
static enum exit_code look_and_print(struct watch *watch)
{
    struct cli *cli = watch->cli;
    struct arena arena;
    enum exit_code code = CLI_OK;
    enum err err;

    arena_init(&arena, SIZE_MAX);
    err = look(watch, &arena);
    if (err == ERR_OK) {
        if (cli->print.color)
            fputs("\033[H\033[J", stdout); /* home, and everything below is gone */
        print_status(watch, &arena);
        if (report_is_for_people(&cli->print) && still_moving(watch) > 0 && cli->print.color)
            printf("Ctrl-C detaches; the moves go on. Cancel: moldau reassign cancel --all\n");
        if (fflush(stdout) != 0)
            code = CLI_FAILED;
    } else {
        code = link_fail(watch->link, err, "see how far moves are");
    }
    arena_fini(&arena);
    return code;
}

static enum exit_code follow(struct watch *watch)
{
    const struct timespec pause = { .tv_sec = WATCH_MS / 1000 };
    struct cli *cli = watch->cli;

    rk_catch_signals();
    for (;;) {
        enum exit_code code = look_and_print(watch);

        if (code != CLI_OK || still_moving(watch) == 0)
            return code;
        nanosleep(&pause, NULL);
        if (rk_stopped()) {
            cli_note(cli, "detached; the moves go on. See them: moldau reassign status -w");
            return CLI_OK;
        }
        cli->deadline_ms = clock_mono_ms() + cli->timeout_ms;
    }
}

enum exit_code moves_status(struct cli *cli, struct link *link, bool watch,
                            const struct planned *begun, int n)
{
    const struct timespec pause = { .tv_nsec = GLANCE_MS * 1000000L };
    struct watch state = { .cli = cli, .link = link, .progress = PROGRESS_NONE };
    enum exit_code code = CLI_OK;
    enum err err = ERR_OK;

    arena_init(&state.arena, SIZE_MAX);
    for (int i = 0; i < n; i++)
        add(&state, begun[i].topic, begun[i].partition)->want =
            begun[i].bytes > 0 ? planned_copies(&begun[i]) * begun[i].bytes : 0;
    sort(&state);
    if (watch) {
        code = follow(&state);
    } else {
        err = look(&state, &cli->arena);
        if (err == ERR_OK && still_moving(&state) > 0) {
            nanosleep(&pause, NULL);
            err = look(&state, &cli->arena);
        }
        if (err == ERR_OK)
            print_status(&state, &cli->arena);
        else
            code = link_fail(link, err, "see how far moves are");
    }
    arena_fini(&state.arena);
    return code;
}
