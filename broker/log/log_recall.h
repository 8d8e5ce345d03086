/*
 * log_recall - what a snapshot of producers leaves out, read back from the log.
 *
 * A snapshot has, in Kafka's format, the last batch of each producer only. A client with several
 * requests in flight may repeat an earlier one to a leader that has just been started, and must not
 * be told that it is out of order: that is fatal to it, or makes it begin anew and write twice.
 * Kafka 3.9 does tell it so.
 */
#ifndef BROKER_LOG_LOG_RECALL_H
#define BROKER_LOG_LOG_RECALL_H

#include "broker/log/log.h"

/* How far before a snapshot the batches are looked for: what a handful of producers may have in
 * flight at a time, and headers that are read in a moment. */
#define LOG_RECALL_BYTES (32 << 20)

/* There may be something to recall: the producers are from a snapshot, and nobody has looked yet.
 */
bool log_can_recall(struct log *log);
/* [append] Looks, once for all producers. What the disk does not give is an error of the directory;
 * damage ends the search. */
MUST_USE enum err log_recall_producers(struct log *log);

#endif
