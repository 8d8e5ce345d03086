/*
 * err - every error by name: Kafka's, whose value is their wire code, and a few of our own.
 *
 * Errors of Kafka's have the value of their wire code, so a decoded code is a valid enum err; ours
 * start at 1000 and become one of Kafka's in err_to_wire().
 */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include <stdint.h>

#ifndef MUST_USE
#define MUST_USE __attribute__((warn_unused_result))
#endif

enum err {
    ERR_OK = 0,
#define ERR(name, code, text) ERR_##name = (code),
#define ERR_OURS(name, wire, text)
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    ERR_OURS_BEFORE_FIRST = 999,
#define ERR(name, code, text)
#define ERR_OURS(name, wire, text) ERR_##name,
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
};

/* "NOT_CONTROLLER"; "NONE" for ERR_OK; "UNKNOWN" for a code that no line names. Static. */
const char *err_name(enum err err);
/* A sentence without a full stop. Static. */
const char *err_text(enum err err);
/* The code a client is told. */
int16_t err_to_wire(enum err err);
/* What errno says: ENOSPC and EDQUOT, ENOENT, EEXIST, ECONNREFUSED, else ERR_IO. */
enum err err_from_errno(int errnum);

#endif
