#include "common/base/err.h"

#include <errno.h>

const char *err_name(enum err err)
{
    switch (err) {
    case ERR_OK:
        return "NONE";
#define ERR(name, code, text)                                                                      \
    case ERR_##name:                                                                               \
        return #name;
#define ERR_OURS(name, wire, text) ERR(name, 0, text)
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    case ERR_OURS_BEFORE_FIRST:
        break;
    }
    return "UNKNOWN";
}

const char *err_text(enum err err)
{
    switch (err) {
    case ERR_OK:
        return "no error";
#define ERR(name, code, text)                                                                      \
    case ERR_##name:                                                                               \
        return text;
#define ERR_OURS(name, wire, text) ERR(name, 0, text)
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    case ERR_OURS_BEFORE_FIRST:
        break;
    }
    return "an error without a name";
}

int16_t err_to_wire(enum err err)
{
    switch (err) {
#define ERR(name, code, text)
#define ERR_OURS(name, wire, text)                                                                 \
    case ERR_##name:                                                                               \
        return ERR_##wire;
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    default:
        return (int16_t)err;
    }
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERR_OK;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ETIMEDOUT:
        return ERR_TIMED_OUT;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}
