#include "tests/kit/core_kit.h"

struct toy toy;

void core_kit_end(void)
{
    toy_agree(&toy);
    toy_fini(&toy);
}

void core_kit_end_anyhow(void)
{
    if (core_is_active(toy.core))
        toy_agree(&toy);
    toy_fini(&toy);
}
