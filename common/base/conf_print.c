/*
 * The table as people and scripts read it.
 */
#include <string.h>

#include "common/base/conf.h"

const char *conf_type_name(enum conf_type type)
{
    switch (type) {
    case CONF_BOOL:
        return "boolean";
    case CONF_INT16:
        return "short";
    case CONF_INT32:
        return "int";
    case CONF_INT64:
        return "long";
    case CONF_DOUBLE:
        return "double";
    case CONF_LIST:
        return "list";
    case CONF_PASSWORD:
        return "password";
    case CONF_CLASS:
        return "class";
    case CONF_STRING:
    case CONF_CHOICE:
        return "string";
    }
    return "";
}

const char *conf_scope_name(enum conf_scope scope)
{
    switch (scope) {
    case CONF_RESTART:
        return "restart";
    case CONF_PER_BROKER:
        return "per broker";
    case CONF_CLUSTER:
        return "cluster";
    }
    return "";
}

static const char *state_name(enum conf_state state)
{
    switch (state) {
    case CONF_LIVE:
        return "live";
    case CONF_LATER:
    case CONF_HIDDEN:
        return "later";
    case CONF_CTRL:
        return "controller";
    case CONF_KRAFT:
        return "kraft";
    case CONF_DYNAMIC:
        return "dynamic";
    case CONF_OURS:
        return "ours";
    }
    return "";
}

static bool has_effect(const struct conf_key *key)
{
    return key->state == CONF_LIVE || key->state == CONF_CTRL || key->state == CONF_OURS;
}

static void help_of(const struct conf_table *table, bool effect, FILE *out)
{
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];

        if (has_effect(key) != effect || key->state == CONF_HIDDEN)
            continue;
        fprintf(out, "  %s=%s\n      %s (%s", key->name, key->text == NULL ? "(none)" : key->text,
                key->doc, conf_type_name(key->type));
        if (key->choices != NULL)
            fprintf(out, ": %s", key->choices);
        fprintf(out, ")\n");
    }
}

void conf_print_help(const struct conf_table *table, FILE *out)
{
    fprintf(out, "Settings, with their defaults:\n");
    help_of(table, true, out);
    fprintf(out, "\nAccepted, without effect yet:\n");
    help_of(table, false, out);
}

void conf_print_sample(const struct conf_table *table, FILE *out)
{
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];

        if (has_effect(key))
            fprintf(out, "# %s\n#%s=%s\n\n", key->doc, key->name,
                    key->text != NULL ? key->text : "");
    }
}

void conf_print_table(const struct conf_table *table, FILE *out)
{
    fprintf(out, "name\ttype\tdefault\tmin\tmax\tchoices\tchanges\tstate\tdoc\n");
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];
        bool whole = key->type == CONF_INT16 || key->type == CONF_INT32 || key->type == CONF_INT64;

        if (key->state == CONF_HIDDEN)
            continue;
        fprintf(out, "%s\t%s\t%s\t", key->name, conf_type_name(key->type),
                key->text == NULL ? "null" : key->text);
        if (whole)
            fprintf(out, "%lld\t%lld\t", (long long)key->min, (long long)key->max);
        else if (key->type == CONF_DOUBLE && key->min != INT64_MIN)
            fprintf(out, "%g\t%g\t", key->real_min, key->real_max);
        else
            fprintf(out, "\t\t");
        fprintf(out, "%s\t%s\t%s\t%s\n", key->choices != NULL ? key->choices : "",
                conf_scope_name(key->scope), state_name(key->state), key->doc);
    }
}
