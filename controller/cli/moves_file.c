/* jansson reads; what is written is short and fixed enough to be printed. */
#include "controller/cli/moves_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/print.h" /* print_json_text */

#define FILE_BYTES_MAX ((size_t)256 << 20)

struct reader {
    struct arena *arena;
    const char **why;
};

static bool fail(struct reader *reader, const char *why)
{
    *reader->why = why;
    return false;
}

static json_t *parse(struct reader *reader, const char *text, size_t len)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, 0, &error);

    if (root == NULL)
        *reader->why =
            arena_cstr(reader->arena, arena_printf(reader->arena, "line %d, column %d: %s",
                                                   error.line, error.column, error.text));
    return root;
}

static bool read_version(struct reader *reader, const json_t *root)
{
    const json_t *version = json_object_get(root, "version");

    if (version == NULL)
        return true;
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        return fail(reader, "its version is not 1");
    return true;
}

static bool read_ids(struct reader *reader, const json_t *array, struct ids *out)
{
    size_t n = json_array_size(array);
    int32_t *ids = arena_zalloc(reader->arena, n + 1, sizeof *ids);

    if (!json_is_array(array) || n == 0)
        return fail(reader, "a partition has no list of replicas");
    for (size_t i = 0; i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(array, i));

        if (!json_is_integer(json_array_get(array, i)) || id < 0 || id > INT32_MAX)
            return fail(reader, "a replica is no broker id");
        if (ids_has((struct ids){ .at = ids, .n = (uint32_t)i }, (int32_t)id))
            return fail(reader, "a partition names a broker twice");
        ids[i] = (int32_t)id;
    }
    *out = (struct ids){ .at = ids, .n = (uint32_t)n };
    return true;
}

static bool read_dirs(struct reader *reader, const json_t *array, struct moves_line *line)
{
    size_t n = json_array_size(array);
    struct str *dirs = arena_zalloc(reader->arena, n + 1, sizeof *dirs);
    bool any = false;

    if (array == NULL)
        return true;
    if (!json_is_array(array) || n != line->replicas.n)
        return fail(reader, "log_dirs has not as many entries as replicas");
    for (size_t i = 0; i < n; i++) {
        const char *dir = json_string_value(json_array_get(array, i));

        if (dir == NULL)
            return fail(reader, "an entry of log_dirs is no text");
        if (strcmp(dir, "any") == 0)
            continue;
        dirs[i] = arena_str(reader->arena, str_of(dir));
        any = true;
    }
    if (any)
        line->dirs = dirs;
    return true;
}

static bool read_part(struct reader *reader, const json_t *entry, bool with_replicas,
                      struct moves_line *out)
{
    const char *topic = json_string_value(json_object_get(entry, "topic"));
    const json_t *partition = json_object_get(entry, "partition");
    json_int_t index = json_integer_value(partition);

    if (topic == NULL || topic[0] == '\0')
        return fail(reader, "an entry has no topic");
    if (!json_is_integer(partition) || index < 0 || index > INT32_MAX)
        return fail(reader, "an entry has no partition");
    *out = (struct moves_line){ .topic = arena_str(reader->arena, str_of(topic)),
                                .partition = (int32_t)index };
    return !with_replicas ||
           (read_ids(reader, json_object_get(entry, "replicas"), &out->replicas) &&
            read_dirs(reader, json_object_get(entry, "log_dirs"), out));
}

static bool read_parts(struct reader *reader, const char *text, size_t len, bool with_replicas,
                       struct moves_line **out, int *n)
{
    json_t *root = parse(reader, text, len);
    const json_t *parts = json_object_get(root, "partitions");
    bool fine = root != NULL;

    *n = 0;
    if (fine && !json_is_array(parts))
        fine = fail(reader, "it has no list named partitions");
    fine = fine && read_version(reader, root);
    *out = arena_zalloc(reader->arena, json_array_size(parts) + 1, sizeof **out);
    for (size_t i = 0; fine && i < json_array_size(parts); i++)
        fine = read_part(reader, json_array_get(parts, i), with_replicas, &(*out)[(*n)++]);
    json_decref(root);
    return fine;
}

bool moves_file_read(struct arena *arena, const char *text, size_t len, struct moves_line **out,
                     int *n, const char **why)
{
    struct reader reader = { .arena = arena, .why = why };

    return read_parts(&reader, text, len, true, out, n);
}

bool moves_file_read_parts(struct arena *arena, const char *text, size_t len,
                           struct moves_line **out, int *n, const char **why)
{
    struct reader reader = { .arena = arena, .why = why };

    return read_parts(&reader, text, len, false, out, n);
}

bool moves_file_read_topics(struct arena *arena, const char *text, size_t len, struct str **out,
                            int *n, const char **why)
{
    struct reader reader = { .arena = arena, .why = why };
    json_t *root = parse(&reader, text, len);
    const json_t *topics = json_object_get(root, "topics");
    bool fine = root != NULL;

    *n = 0;
    if (fine && !json_is_array(topics))
        fine = fail(&reader, "it has no list named topics");
    fine = fine && read_version(&reader, root);
    *out = arena_zalloc(arena, json_array_size(topics) + 1, sizeof **out);
    for (size_t i = 0; fine && i < json_array_size(topics); i++) {
        const char *topic = json_string_value(json_object_get(json_array_get(topics, i), "topic"));

        if (topic == NULL)
            fine = fail(&reader, "an entry has no topic");
        else
            (*out)[(*n)++] = arena_str(arena, str_of(topic));
    }
    json_decref(root);
    return fine;
}

void moves_file_write(FILE *out, const struct moves_line *lines, int n)
{
    fputs("{\"version\":1,\"partitions\":[", out);
    for (int i = 0; i < n; i++) {
        const struct moves_line *line = &lines[i];

        fprintf(out, "%s{\"topic\":", i > 0 ? "," : "");
        print_json_text(out, line->topic);
        fprintf(out, ",\"partition\":%d,\"replicas\":[", line->partition);
        for (uint32_t r = 0; r < line->replicas.n; r++)
            fprintf(out, "%s%d", r > 0 ? "," : "", line->replicas.at[r]);
        fputs("],\"log_dirs\":[", out);
        for (uint32_t r = 0; r < line->replicas.n; r++) {
            fputs(r > 0 ? "," : "", out);
            print_json_text(out, line->dirs != NULL && !str_is_null(line->dirs[r]) ? line->dirs[r]
                                                                                   : STR("any"));
        }
        fputs("]}", out);
    }
    fputs("]}", out);
}

char *moves_file_load(struct arena *arena, const char *path, size_t *len)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(path, "re");
    char *text = NULL, *kept = NULL;
    size_t cap = 0;

    *len = 0;
    if (in == NULL)
        return NULL;
    for (size_t got = 1; got > 0 && *len < FILE_BYTES_MAX; *len += got) {
        array_reserve(&text, &cap, *len + 65536, 1);
        got = fread(text + *len, 1, cap - *len, in);
    }
    if (!ferror(in))
        kept = arena_dup(arena, text, *len);
    free(text);
    if (!is_stdin) {
        int saved = errno;

        fclose(in);
        errno = saved;
    }
    return kept;
}
