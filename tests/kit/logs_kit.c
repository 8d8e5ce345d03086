#include "tests/kit/logs_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/str.h"

static struct fake_disk *fake;
static uint64_t seed;

void logs_kit_begin(uint64_t with_seed)
{
    fake = fake_disk_new();
    seed = with_seed;
}

struct fake_disk *logs_kit_disk(void)
{
    return fake;
}

void logs_kit_end(void)
{
    fake_disk_free(&fake);
}

uint64_t logs_kit_chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

struct logs_options logs_kit_options(void (*conf_of)(void *ctx, const char *topic,
                                                     struct log_conf *conf))
{
    static const char *const dirs[] = { "/d" };

    return (struct logs_options){ .dirs = dirs,
                                  .dir_count = 1,
                                  .broker_id = 1,
                                  .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA",
                                  .no_threads = true,
                                  .max_open_files = 16,
                                  .disk = fake_disk_base(fake),
                                  .conf_of = conf_of,
                                  .flush_check_ms = LOGS_KIT_NEVER,
                                  .checkpoint_ms = LOGS_KIT_NEVER,
                                  .start_checkpoint_ms = LOGS_KIT_NEVER };
}

uint64_t logs_kit_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    int64_t value;

    return text != NULL && str_to_i64(str_of(text), &value) && value > 0 ? (uint64_t)value
                                                                         : otherwise;
}

/* ---- crashes ---- */

static void begin(const struct crash_work *work, uint64_t with_seed)
{
    logs_kit_begin(with_seed);
    fake_disk_sync_one_by_one(fake, with_seed % 4 == 3);
    work->reset();
}

uint64_t crash_count(const struct crash_work *work, uint64_t with_seed)
{
    begin(work, with_seed);
    work->live();
    uint64_t count = fake_disk_count(fake);

    if (work->whole != NULL)
        work->whole();
    work->check();
    logs_kit_end();
    return count;
}

static void crash_at(const struct crash_work *work, uint64_t number, enum fake_disk_loss loss,
                     uint64_t with_seed)
{
    begin(work, with_seed);
    fake_disk_stop_at(fake, number);
    work->live();
    fake_disk_crash(fake, loss, with_seed + number);
    if (getenv("MOLDAU_CRASH_SAY") != NULL)
        fprintf(stderr, "point %" PRIu64 " seed %" PRIu64 "\n", number, with_seed);
    work->check();
    logs_kit_end();
}

void crash_everywhere(const struct crash_work *work, enum fake_disk_loss loss)
{
    uint64_t rounds = logs_kit_setting("MOLDAU_CRASH_ROUNDS", 1);
    uint64_t first = logs_kit_setting("MOLDAU_CRASH_SEED", 1);
    uint64_t points = 0;

    for (uint64_t round = first; round < first + rounds; round++) {
        uint64_t count = crash_count(work, round);

        for (uint64_t number = 1; number <= count; number++, points++)
            crash_at(work, number, loss, round);
    }
    printf("crash points: %" PRIu64 "\n", points);
}
