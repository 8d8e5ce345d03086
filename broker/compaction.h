/*
 * compaction - the broker's cleaner, with the settings as they are now.
 *
 * The settings of log.cleaner.* change at run time (Kafka: LogCleaner.ReconfigurableConfigs):
 * compaction_look() holds what is in force against what the cleaner goes by.
 *
 * Ownership:  borrows all that it is started with, until compaction_stop().
 * Threads:    start and stop by main, look by one thread at a time.
 */
#ifndef BROKER_COMPACTION_H
#define BROKER_COMPACTION_H

#include "broker/log/clean/cleaner.h"
#include "broker/meta/meta.h"
#include "broker/replica/parts.h"
#include "broker/tables/settings.h"

struct compaction;

struct compaction_parties {
    const struct settings *settings;
    struct meta *meta;
    struct parts *parts;
    struct logs *logs;
};

/* *out is NULL with ERR_OK when logs are not to be compacted (log.cleaner.enable). */
MUST_USE enum err compaction_start(const struct compaction_parties *parties,
                                   struct compaction **out);
/* compaction NULL: fine, here and below. */
void compaction_look(struct compaction *compaction);
struct cleaner *compaction_cleaner(struct compaction *compaction);
void compaction_stop(struct compaction **compaction);

#endif
