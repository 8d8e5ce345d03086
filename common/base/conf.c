/*
 * What is read is kept as text with the place it came from; a later text for the same key replaces
 * it. conf_finish() then looks each up in the table, checks it and stores it into the member of
 * the struct of values that the table names. What is wrong becomes a line in a list, so that an
 * operator sees everything at once.
 */
#include "common/base/conf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/props.h"
#include "common/base/say.h"

struct setting {
    struct str name, value; /* of the arena, NUL-terminated */
    const char *origin;     /* file name or "--override" */
    int line;               /* 0: none */
    bool good;
};

struct notes {
    const char **lines;
    size_t n, cap;
};

struct conf {
    const struct conf_table *table;
    void *values;
    struct setting *settings;
    size_t n_settings, settings_cap;
    struct notes problems, warnings;
    struct arena arena;
};

static struct setting *find_setting(const struct conf *conf, struct str name)
{
    for (size_t i = 0; i < conf->n_settings; i++) {
        if (str_eq(conf->settings[i].name, name))
            return &conf->settings[i];
    }
    return NULL;
}

/* ---- problems and warnings ---- */

static void note(struct conf *conf, struct notes *notes, struct str line)
{
    array_reserve(&notes->lines, &notes->cap, notes->n, sizeof *notes->lines);
    notes->lines[notes->n++] = arena_cstr(&conf->arena, line);
}

/* The key whose rules hold for this name, with or without a listener in front. */
static const struct conf_key *rules_of(const struct conf_table *table, struct str name)
{
    const struct conf_key *key = conf_find(table, name);

    return key != NULL ? key : conf_find_scoped(table, name);
}

static void note_about(struct conf *conf, struct notes *notes, struct str name, const char *format,
                       va_list args) __attribute__((format(printf, 4, 0)));
static void note_about(struct conf *conf, struct notes *notes, struct str name, const char *format,
                       va_list args)
{
    const struct setting *set = str_is_null(name) ? NULL : find_setting(conf, name);
    const struct conf_key *key = str_is_null(name) ? NULL : rules_of(conf->table, name);
    char *text;

    if (vasprintf(&text, format, args) < 0)
        abort();
    if (set == NULL && key == NULL) {
        note(conf, notes, str_of(text));
    } else if (set == NULL) {
        note(conf, notes, arena_printf(&conf->arena, "%s: %s", key->name, text));
    } else {
        bool secret = key != NULL && key->type == CONF_PASSWORD;
        struct str where = set->line > 0
                               ? arena_printf(&conf->arena, "%s:%d: ", set->origin, set->line)
                               : arena_printf(&conf->arena, "%s ", set->origin);
        note(conf, notes,
             arena_printf(&conf->arena, "%s%s=%s: %s", where.ptr, set->name.ptr,
                          secret ? "[hidden]" : set->value.ptr, text));
    }
    free(text);
}

void conf_problem(struct conf *conf, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note_about(conf, &conf->problems, str_of(name), format, args);
    va_end(args);
}

void conf_warn(struct conf *conf, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note_about(conf, &conf->warnings, str_of(name), format, args);
    va_end(args);
}

size_t conf_n_problems(const struct conf *conf)
{
    return conf->problems.n;
}

const char *conf_problem_at(const struct conf *conf, size_t i)
{
    assert(i < conf->problems.n);
    return conf->problems.lines[i];
}

size_t conf_n_warnings(const struct conf *conf)
{
    return conf->warnings.n;
}

const char *conf_warning_at(const struct conf *conf, size_t i)
{
    assert(i < conf->warnings.n);
    return conf->warnings.lines[i];
}

void conf_say_warnings(const struct conf *conf)
{
    for (size_t i = 0; i < conf->warnings.n; i++)
        say_warn("%s", conf->warnings.lines[i]);
}

void conf_say_problems(const struct conf *conf)
{
    for (size_t i = 0; i < conf->problems.n; i++)
        say_error("%s", conf->problems.lines[i]);
}

struct conf *conf_read(const struct conf_table *table, void *values, const char *path,
                       size_t n_overrides, const char *const *overrides)
{
    struct conf *conf = conf_new(table, values);

    if (path != NULL)
        conf_read_file(conf, path);
    for (size_t i = 0; i < n_overrides; i++)
        conf_override(conf, overrides[i]);
    conf_finish(conf);
    return conf;
}

enum err conf_accept(struct conf **conf)
{
    conf_say_warnings(*conf);
    if (conf_n_problems(*conf) == 0)
        return ERR_OK;
    conf_say_problems(*conf);
    conf_free(conf);
    return ERR_INVALID_CONFIG;
}

/* ---- keys ---- */

const struct conf_key *conf_find(const struct conf_table *table, struct str name)
{
    for (size_t i = 0; i < table->n_keys; i++) {
        if (str_is(name, table->keys[i].name))
            return &table->keys[i];
    }
    return NULL;
}

const struct conf_key *conf_find_scoped(const struct conf_table *table, struct str name)
{
    struct str rest;

    if (!str_starts_with(name, STR("listener.name.")))
        return NULL;
    rest = (struct str){ .ptr = name.ptr + 14, .len = name.len - 14 };
    str_split(rest, '.', &rest);
    if (str_is_null(rest))
        return NULL;

    const struct conf_key *key = conf_find(table, rest);

    if (key != NULL)
        return key;
    str_split(rest, '.', &rest); /* a SASL mechanism */
    return str_is_null(rest) ? NULL : conf_find(table, rest);
}

static bool is_others(const struct conf_table *table, struct str name)
{
    for (const char *const *other = table->others; other != NULL && *other != NULL; other++) {
        struct str text = str_of(*other);

        if (text.ptr[text.len - 1] == '.' ? str_starts_with(name, text) : str_eq(name, text))
            return true;
    }
    return false;
}

/* ---- life ---- */

struct conf *conf_new(const struct conf_table *table, void *values)
{
    struct conf *conf = xcalloc(1, sizeof *conf);

    conf->table = table;
    conf->values = values;
    arena_init(&conf->arena, SIZE_MAX);
    memset(values, 0, table->values_size);
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];
        enum err err = conf_store(key, str_of(key->text), values, &conf->arena, NULL);

        assert(err == ERR_OK); /* the table's own texts */
    }
    return conf;
}

struct arena *conf_arena(struct conf *conf)
{
    return &conf->arena;
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL)
        return;
    arena_fini(&(*conf)->arena);
    free((*conf)->settings);
    free((*conf)->problems.lines);
    free((*conf)->warnings.lines);
    free(*conf);
    *conf = NULL;
}

/* ---- reading ---- */

static void put_setting(struct conf *conf, struct setting setting)
{
    struct setting *known = find_setting(conf, setting.name);

    if (known == NULL) {
        array_reserve(&conf->settings, &conf->settings_cap, conf->n_settings,
                      sizeof *conf->settings);
        known = &conf->settings[conf->n_settings++];
    }
    *known = setting;
}

void conf_read_text(struct conf *conf, const char *origin, struct str text)
{
    struct props props = props_open(text, &conf->arena);
    struct setting setting = { .origin = arena_cstr(&conf->arena, str_of(origin)) };

    while (props_next(&props, &setting.name, &setting.value)) {
        setting.line = props.line;
        if (props.bad_escape)
            conf_problem(conf, NULL, "%s:%d: \\u wants four hexadecimal digits", origin,
                         props.line);
        put_setting(conf, setting);
    }
}

void conf_read_file(struct conf *conf, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t len = 0, cap = 0, got;

    if (file == NULL) {
        conf_problem(conf, NULL, "%s: cannot be opened: %m", path);
        return;
    }
    do {
        array_reserve(&text, &cap, len + 4096, 1);
        got = fread(text + len, 1, cap - len, file);
        len += got;
    } while (got > 0);
    if (ferror(file) != 0)
        conf_problem(conf, NULL, "%s: cannot be read: %m", path);
    else
        conf_read_text(conf, path, (struct str){ .ptr = text, .len = len });
    fclose(file);
    free(text);
}

void conf_override(struct conf *conf, const char *setting)
{
    struct str value, name = str_trim(str_split(str_of(setting), '=', &value));

    if (str_is_null(value) || name.len == 0) {
        conf_problem(conf, NULL, "--override %s: must be key=value", setting);
        return;
    }
    put_setting(conf, (struct setting){ .name = arena_str(&conf->arena, name),
                                        .value = arena_str(&conf->arena, str_trim(value)),
                                        .origin = "--override" });
}

/* ---- taking over ---- */

static void take_known(struct conf *conf, struct setting *set, const struct conf_key *key)
{
    char why[CONF_WHY];

    if (conf_store(key, set->value, conf->values, &conf->arena, why) != ERR_OK) {
        conf_problem(conf, set->name.ptr, "%s", why);
        return;
    }
    set->good = true;
    if (str_eq(conf_show(key, set->value, &conf->arena), str_of(key->text)))
        return;
    switch (key->state) {
    case CONF_LATER:
    case CONF_HIDDEN:
        conf_warn(conf, set->name.ptr, "has no effect yet");
        break;
    case CONF_KRAFT:
        conf_warn(conf, set->name.ptr, "has no effect on a cluster with ZooKeeper");
        break;
    case CONF_DYNAMIC:
        conf_warn(conf, set->name.ptr, "has no effect in a file, it is set at run time");
        break;
    case CONF_LIVE:
    case CONF_CTRL:
    case CONF_OURS:
    case CONF_INNER:
        break;
    }
}

void conf_finish(struct conf *conf)
{
    for (size_t i = 0; i < conf->n_settings; i++) {
        struct setting *set = &conf->settings[i];
        const struct conf_key *key = conf_find(conf->table, set->name);
        char why[CONF_WHY];

        if (key != NULL) {
            take_known(conf, set, key);
        } else if ((key = conf_find_scoped(conf->table, set->name)) != NULL) {
            set->good = conf_check(key, set->value, why) == ERR_OK;
            if (set->good)
                conf_warn(conf, set->name.ptr, "has no effect for a single listener yet");
            else
                conf_problem(conf, set->name.ptr, "%s", why);
        } else if (!conf->table->quiet_unknown && !is_others(conf->table, set->name)) {
            /* the value stays unsaid: it may be a misspelt secret */
            conf_warn(conf, NULL, "%s:%d: %s: no such setting, ignored", set->origin, set->line,
                      set->name.ptr);
        }
    }
}

bool conf_is_set(const struct conf *conf, const char *name)
{
    const struct setting *set = find_setting(conf, str_of(name));

    return set != NULL && set->good;
}

struct str conf_given(const struct conf *conf, const char *name)
{
    const struct setting *set = find_setting(conf, str_of(name));

    return set != NULL && set->good ? set->value : STR_NULL;
}

void conf_setting_at(const struct conf *conf, size_t i, struct str *name, struct str *value)
{
    *name = i < conf->n_settings ? conf->settings[i].name : STR_NULL;
    *value = i < conf->n_settings ? conf->settings[i].value : STR_NULL;
}
