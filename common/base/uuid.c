#include "common/base/uuid.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_print(struct uuid uuid, char text[UUID_TEXT_LEN + 1])
{
    uint32_t bits = 0;
    int have = 0, at = 0;

    for (int i = 0; i < 16; i++) {
        bits = bits << 8 | uuid.bytes[i];
        have += 8;
        while (have >= 6) {
            have -= 6;
            text[at++] = alphabet[bits >> have & 63];
        }
    }
    text[at++] = alphabet[bits << (6 - have) & 63];
    text[at] = '\0';
}

bool uuid_parse(struct str text, struct uuid *out)
{
    struct uuid uuid = UUID_ZERO;
    uint32_t bits = 0;
    int have = 0, at = 0;

    if (text.ptr == NULL || text.len != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *found = text.ptr[i] != '\0' ? strchr(alphabet, text.ptr[i]) : NULL;

        if (found == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        have += 6;
        if (have >= 8 && at < 16) {
            have -= 8;
            uuid.bytes[at++] = (uint8_t)(bits >> have);
        }
    }
    *out = uuid;
    return true;
}

bool uuid_from_random(const uint8_t random[16], struct uuid *out)
{
    char text[UUID_TEXT_LEN + 1];
    struct uuid uuid;

    memcpy(uuid.bytes, random, 16);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    uuid_print(uuid, text);
    if (text[0] == '-')
        return false;
    *out = uuid;
    return true;
}
