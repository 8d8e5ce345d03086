/*
 * record_format - records as text: how consume prints them and how produce reads a line.
 *
 *   %t topic  %p partition  %o offset  %T time in ms  %d time as ISO (UTC)
 *   %k key    %v value (or %s)         %h headers as name=value,...
 *   %K, %S    sizes of key and value   %%  per cent    \n \t \r \0 \\ \xHH
 *
 * Ownership:  texts of a line read point into the line.
 */
#ifndef CONTROLLER_CLI_RECORD_FORMAT_H
#define CONTROLLER_CLI_RECORD_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "controller/cli/print.h"

#define RECORD_HEADERS_MAX 64

struct record_text {
    struct str topic;
    int32_t partition;    /* -1 not said */
    int64_t offset;       /* -1 not said */
    int64_t timestamp_ms; /* -1 not said */
    struct str key, value;
    int headers_len;
    struct {
        struct str name, value;
    } headers[RECORD_HEADERS_MAX];
};

/* NULL when it can be used, else what is wrong. reading: only %p %k %v %T %h, with text between. */
const char *record_format_wrong(const char *format, bool reading);
void record_print(const char *format, const struct record_text *record, struct arena *arena,
                  FILE *out);
/* One record as a JSON object, without a line's end; what is not UTF-8 as key_base64, value_base64.
 */
void record_print_json(const struct record_text *record, struct arena *arena, FILE *out);
/* False when the line does not fit the format. */
bool record_read(const char *format, struct str line, struct record_text *out);

#endif
