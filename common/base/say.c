/*
 * A line is put together in a buffer of its own and leaves in one write, so lines of several
 * threads do not mix. Text:  2026-11-20T13:05:11.123Z INFO  reactor-1  became leader orders-3
 * epoch=4
 */
#include "common/base/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

#define LINE_MAX_BYTES 4096

static const char *const level_names[] = { "ERROR", "WARN", "INFO", "DEBUG" };
static _Atomic int say_level_now = SAY_INFO;
static enum say_format say_format_now = SAY_TEXT;
static char say_who[64] = "moldau";

void say_setup(enum say_level level, enum say_format format, const char *who)
{
    say_format_now = format;
    snprintf(say_who, sizeof say_who, "%s", who);
    say_set_level(level);
}

void say_set_level(enum say_level level)
{
    atomic_store_explicit(&say_level_now, (int)level, memory_order_relaxed);
}

bool say_is_on(enum say_level level)
{
    return (int)level <= atomic_load_explicit(&say_level_now, memory_order_relaxed);
}

static size_t print_time(char *into, size_t cap)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t len = strftime(into, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    return len + (size_t)snprintf(into + len, cap - len, ".%03dZ", (int)(now_ms % 1000));
}

/* Escapes what JSON wants escaped; control characters become spaces in text lines too. */
static size_t put_escaped(char *into, size_t cap, const char *text)
{
    size_t len = 0;

    for (; *text != '\0' && len + 8 < cap; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            into[len++] = '\\';
            into[len++] = (char)c;
        } else {
            into[len++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        }
    }
    into[len] = '\0';
    return len;
}

static void clean_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

void say_line(enum say_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES + 8], when[40];
    va_list args;
    int len;

    if (!say_is_on(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_time(when, sizeof when);
    if (say_format_now == SAY_JSON) {
        len = snprintf(line, LINE_MAX_BYTES,
                       "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"thread\":\"%s\","
                       "\"message\":\"",
                       when, level_names[level], say_who, thread_name());
        len += (int)put_escaped(line + len, LINE_MAX_BYTES - (size_t)len, text);
        len += snprintf(line + len, 8, "\"}\n");
    } else {
        clean_controls(text);
        len = snprintf(line, LINE_MAX_BYTES, "%s %-5s %-10s %s\n", when, level_names[level],
                       thread_name(), text);
    }
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        return; /* nobody left to tell */
}

bool say_limit_pass(struct say_limit *limit, unsigned *swallowed_before)
{
    int64_t now_us = clock_mono_us();
    int64_t next_us = atomic_load_explicit(&limit->next_us, memory_order_relaxed);

    if (now_us < next_us ||
        !atomic_compare_exchange_strong_explicit(&limit->next_us, &next_us, now_us + 1000000,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&limit->swallowed, 1, memory_order_relaxed);
        return false;
    }
    *swallowed_before = atomic_exchange_explicit(&limit->swallowed, 0, memory_order_relaxed);
    return true;
}
