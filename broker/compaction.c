/*
 * Numbers that make no sense are said once, when they come, and what was before goes on.
 */
#include "broker/compaction.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

struct numbers {
    int32_t threads;
    int64_t dedupe_bytes, io_bytes, backoff_ms;
    double load_factor, max_bytes_per_second;
};

struct compaction {
    struct compaction_parties parties; /* [I] */
    struct cleaner *cleaner;           /* [I] */
    struct numbers seen;               /* who looks */
};

static int64_t stable_of(void *ctx, struct log *log)
{
    struct compaction *compaction = ctx;

    return parts_stable_offset(compaction->parties.parts, log);
}

static void retain(void *ctx, struct log *log)
{
    struct compaction *compaction = ctx;

    parts_retain_log(compaction->parties.parts, log, clock_wall_ms(), clock_mono_ms());
}

static struct numbers numbers_now(const struct compaction_parties *parties)
{
    struct image *image = meta_get_ref(parties->meta);
    const struct settings *now = parties->settings;
    struct numbers numbers;

    numbers.threads = (int32_t)settings_number(now, image, BROKER_CONF_log_cleaner_threads);
    numbers.dedupe_bytes = settings_number(now, image, BROKER_CONF_log_cleaner_dedupe_buffer_size);
    numbers.io_bytes = settings_number(now, image, BROKER_CONF_log_cleaner_io_buffer_size);
    numbers.backoff_ms = settings_number(now, image, BROKER_CONF_log_cleaner_backoff_ms);
    numbers.load_factor = settings_real(now, image, BROKER_CONF_log_cleaner_io_buffer_load_factor);
    numbers.max_bytes_per_second =
        settings_real(now, image, BROKER_CONF_log_cleaner_io_max_bytes_per_second);
    image_unref(&image);
    return numbers;
}

static bool is_same(const struct numbers *one, const struct numbers *other)
{
    return one->threads == other->threads && one->dedupe_bytes == other->dedupe_bytes &&
           one->io_bytes == other->io_bytes && one->backoff_ms == other->backoff_ms &&
           fabs(one->load_factor - other->load_factor) < 1e-9 &&
           fabs(one->max_bytes_per_second - other->max_bytes_per_second) < 1e-3;
}

static struct cleaner_conf conf_of(struct compaction *compaction, const struct numbers *numbers)
{
    return (struct cleaner_conf){ .logs = compaction->parties.logs,
                                  .threads = numbers->threads,
                                  .dedupe_bytes = numbers->dedupe_bytes,
                                  .load_factor = numbers->load_factor,
                                  .io_bytes = numbers->io_bytes,
                                  .max_bytes_per_second = numbers->max_bytes_per_second,
                                  .backoff_ms = numbers->backoff_ms,
                                  .stable_of = stable_of,
                                  .retain = retain,
                                  .ctx = compaction };
}

enum err compaction_start(const struct compaction_parties *parties, struct compaction **out)
{
    struct numbers numbers = numbers_now(parties);

    *out = NULL;
    if (!settings_broker_conf(parties->settings)->log_cleaner_enable || numbers.threads == 0)
        return ERR_OK;
    struct compaction *compaction = xcalloc(1, sizeof *compaction);

    compaction->parties = *parties;
    compaction->seen = numbers;
    struct cleaner_conf conf = conf_of(compaction, &numbers);
    enum err err = cleaner_start(&conf, &compaction->cleaner);

    if (err != ERR_OK)
        free(compaction);
    else
        *out = compaction;
    return err;
}

void compaction_look(struct compaction *compaction)
{
    if (compaction == NULL)
        return;
    struct numbers numbers = numbers_now(&compaction->parties);

    if (is_same(&numbers, &compaction->seen))
        return;
    compaction->seen = numbers;
    struct cleaner_conf conf = conf_of(compaction, &numbers);

    if (cleaner_reconfigure(compaction->cleaner, &conf) != ERR_OK)
        say_error("compaction goes on with the settings of log.cleaner.* that it had");
}

struct cleaner *compaction_cleaner(struct compaction *compaction)
{
    return compaction == NULL ? NULL : compaction->cleaner;
}

void compaction_stop(struct compaction **compaction_ptr)
{
    struct compaction *compaction = *compaction_ptr;

    *compaction_ptr = NULL;
    if (compaction == NULL)
        return;
    cleaner_stop(&compaction->cleaner);
    free(compaction);
}
