/*
 * A topic's name may itself end in a dash and a number, so a word is first looked up as a whole.
 */
#include "controller/cli/scope.h"

#include <stdlib.h>
#include <string.h>

#include "controller/cli/offset_plan.h" /* topic_scope_parse */
#include "controller/cli/topic.h"

bool scope_split(struct str word, struct str *topic, int32_t *partition)
{
    size_t at = word.len;
    int64_t number;

    while (at > 0 && word.ptr[at - 1] != '-')
        at--;
    if (at < 2 || at == word.len ||
        !str_to_i64((struct str){ .ptr = word.ptr + at, .len = word.len - at }, &number) ||
        number < 0 || number > INT32_MAX)
        return false;
    *topic = (struct str){ .ptr = word.ptr, .len = at - 1 };
    *partition = (int32_t)number;
    return true;
}

bool scope_ids(struct arena *arena, const char *text, int32_t **out, int *len)
{
    struct str rest = str_of(text);
    int most = 1;

    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',';
    *out = arena_zalloc(arena, (size_t)most, sizeof **out);
    *len = 0;
    while (!str_is_null(rest)) {
        int64_t id;

        if (!str_to_i64(str_trim(str_split(rest, ',', &rest)), &id) || id < 0 || id > INT32_MAX)
            return false;
        for (int i = 0; i < *len; i++) {
            if ((*out)[i] == id)
                return false;
        }
        (*out)[(*len)++] = (int32_t)id;
    }
    return true;
}

const char *scope_name(struct cli *cli, struct str topic, int32_t partition)
{
    return cli_text(cli, "%.*s-%d", STR_ARG(topic), partition);
}

struct finder {
    struct cli *cli;
    struct link *link;
    struct part_at *parts;
    int len, cap;
};

static void add(struct finder *finder, const struct metadata_response_topic *topic,
                const struct metadata_response_partition *part)
{
    if (finder->len == finder->cap) {
        int cap = finder->cap == 0 ? 16 : 2 * finder->cap;
        struct part_at *grown = arena_zalloc(&finder->cli->arena, (size_t)cap, sizeof *grown);

        if (finder->len > 0)
            memcpy(grown, finder->parts, (size_t)finder->len * sizeof *grown);
        finder->parts = grown;
        finder->cap = cap;
    }
    finder->parts[finder->len++] =
        (struct part_at){ .topic = topic->name, .topic_id = topic->topic_id, .seen = part };
}

static const struct metadata_response_partition *
find_index(const struct metadata_response_topic *topic, int32_t index)
{
    for (int32_t p = 0; p < topic->partitions_len; p++) {
        if (topic->partitions[p].partition_index == index)
            return &topic->partitions[p];
    }
    return NULL;
}

static void add_all(struct finder *finder, const struct metadata_response_topic *topic)
{
    for (int32_t p = 0; p < topic->partitions_len; p++)
        add(finder, topic, &topic->partitions[p]);
}

static enum exit_code add_index(struct finder *finder, const struct metadata_response_topic *topic,
                                int32_t index)
{
    const struct metadata_response_partition *part = find_index(topic, index);

    if (part == NULL)
        return cli_fail(
            finder->cli, CLI_NOT_FOUND,
            cli_text(finder->cli, "topic %.*s has no partition %d", STR_ARG(topic->name), index),
            cli_text(finder->cli, "its partitions are 0 to %d", topic->partitions_len - 1),
            cli_text(finder->cli, "moldau topic show %.*s", STR_ARG(topic->name)));
    add(finder, topic, part);
    return CLI_OK;
}

static enum exit_code find_scope(struct finder *finder, const char *word)
{
    struct cli *cli = finder->cli;
    const struct metadata_response_topic *topic;
    struct str name;
    int32_t len, *indexes;
    enum exit_code code;

    if (!topic_scope_parse(str_of(word), &name, NULL, &len) || len == 0)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' names no partitions", word),
                        "what is meant is TOPIC, TOPIC-7 or TOPIC:0,1,2", NULL);
    indexes = arena_zalloc(&cli->arena, (size_t)len, sizeof *indexes);
    (void)topic_scope_parse(str_of(word), &name, indexes, &len);
    code = topic_find(cli, finder->link, arena_cstr(&cli->arena, name), &topic);
    for (int32_t i = 0; code == CLI_OK && i < len; i++)
        code = add_index(finder, topic, indexes[i]);
    return code;
}

static enum exit_code find_word(struct finder *finder, const char *word)
{
    struct cli *cli = finder->cli;
    struct metadata_response *seen = arena_zalloc(&cli->arena, 1, sizeof *seen);
    struct str names[2] = { str_of(word) };
    const struct metadata_response_topic *topic;
    int32_t index;
    bool splits = scope_split(names[0], &names[1], &index);
    enum err err;

    if (strchr(word, ':') != NULL)
        return find_scope(finder, word);
    err = link_metadata(finder->link, LINK_ANY, names, splits ? 2 : 1, seen, &cli->arena);
    if (err != ERR_OK)
        return link_fail(finder->link, err, cli_text(cli, "look up %s", word));
    for (int32_t t = 0; t < seen->topics_len; t++) {
        topic = &seen->topics[t];
        if (str_eq(topic->name, names[0]) && topic->partitions_len > 0) {
            add_all(finder, topic);
            return CLI_OK;
        }
    }
    for (int32_t t = 0; splits && t < seen->topics_len; t++) {
        topic = &seen->topics[t];
        if (str_eq(topic->name, names[1]) && topic->partitions_len > 0)
            return add_index(finder, topic, index);
    }
    return topic_missing(cli, finder->link, splits ? arena_cstr(&cli->arena, names[1]) : word);
}

static int by_place(const void *a, const void *b)
{
    const struct part_at *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);
    int32_t one = left->seen->partition_index, other = right->seen->partition_index;

    return order != 0 ? order : (one > other) - (one < other);
}

static void settle(struct finder *finder, struct part_at **out, int *len)
{
    *len = 0;
    *out = finder->parts;
    if (finder->len > 0)
        qsort(finder->parts, (size_t)finder->len, sizeof *finder->parts, by_place);
    for (int i = 0; i < finder->len; i++) {
        if (*len == 0 || by_place(&(*out)[*len - 1], &finder->parts[i]) != 0)
            (*out)[(*len)++] = finder->parts[i];
    }
}

enum exit_code scope_find(struct cli *cli, struct link *link, const char *const *words, int n,
                          struct part_at **out, int *len)
{
    struct finder finder = { .cli = cli, .link = link };
    enum exit_code code = CLI_OK;

    for (int i = 0; code == CLI_OK && i < n; i++)
        code = find_word(&finder, words[i]);
    settle(&finder, out, len);
    return code;
}

enum exit_code scope_all(struct cli *cli, struct link *link, struct part_at **out, int *len)
{
    struct finder finder = { .cli = cli, .link = link };
    struct metadata_response *seen = arena_zalloc(&cli->arena, 1, sizeof *seen);
    enum err err = link_metadata(link, LINK_ANY, NULL, -1, seen, &cli->arena);

    if (err != ERR_OK)
        return link_fail(link, err, "look up the topics");
    for (int32_t t = 0; t < seen->topics_len; t++)
        add_all(&finder, &seen->topics[t]);
    settle(&finder, out, len);
    return CLI_OK;
}

const struct part_at *scope_part(const struct part_at *parts, int len, struct str topic,
                                 int32_t partition)
{
    int low = 0, high = len;

    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = str_cmp(parts[middle].topic, topic);

        if (order == 0)
            order = (parts[middle].seen->partition_index > partition) -
                    (parts[middle].seen->partition_index < partition);
        if (order == 0)
            return &parts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
