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

static bool has_effect(const struct conf_key *key)
{
    return key->state == CONF_LIVE || key->state == CONF_CTRL || key->state == CONF_OURS ||
           key->state == CONF_INNER;
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
