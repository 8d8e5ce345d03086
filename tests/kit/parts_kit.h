/*
 * parts_kit - the partitions of one broker, 1, over a real log directory, and the image that they
 * are told: what a test changes in it and sees of them. Each topic has one partition.
 */
#ifndef TESTS_KIT_PARTS_KIT_H
#define TESTS_KIT_PARTS_KIT_H

#include "broker/replica/parts.h"

struct parts_kit {
    const char *dir;
    struct logs *logs;
    struct parts *parts;
    struct image *image;
    struct parts_result result; /* of the last change that was told */
    int32_t min_isr;            /* where an image's settings have none */
    int proposals;
    struct disk *disk;     /* of the next start; NULL: the real one */
    void (*on_conf)(void); /* when a partition's settings are asked for */
};

/* Of the test that runs: Check forks for each. */
extern struct parts_kit pk;

/* Replicas with broker 1, and without it. */
extern const int32_t pk_mine[2], pk_others[2];

/* Before and after each test. */
void pk_setup(void);
void pk_teardown(void);

void pk_start(void);
void pk_start_on(const char *const *dirs, size_t count);
void pk_stop(void);

/* The id of the nth topic. */
struct uuid pk_id_of(int n);
/* Of a partition 0 whose replicas, all in sync, are pk_mine. */
struct image_part pk_state(int32_t leader, int32_t epoch, int32_t partition_epoch);
struct image_tombstone pk_stone_of(const char *name, int id, int32_t broker, int32_t epoch);

/* To the image, and to the partitions when they are to hear of it; the error that they answer. */
enum err pk_change(struct image_delta delta, bool tell);
/* The whole image, as at a start. */
enum err pk_tell_image(void);
/* Changes that must be accepted. */
void pk_set(const char *name, int id, struct image_part part);
void pk_set_as(const char *name, int id, const struct image_part *part, bool tell);
void pk_drop_topic(int id, bool tell);
void pk_bury(struct image_tombstone stone, bool tell);

/* Is there a partition, and what is it? info may be NULL. */
bool pk_find(const char *name, struct part_info *info);
bool pk_has_log(const char *name);
/* Folders whose name ends so. */
int pk_folders(const char *suffix);
/* Appends a batch as a client's. */
enum err pk_try_produce(const char *name, int count);
void pk_produce(const char *name, int count);

#endif
