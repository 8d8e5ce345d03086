/*
 * The rate is an average that forgets: half of it is the last step, so that it follows a throttle
 * that was changed within a few looks and does not jump with each batch.
 */
#include "controller/cli/progress.h"

int32_t progress_permille(int64_t total, int64_t done)
{
    if (total <= 0 || done >= total)
        return 1000;
    return (int32_t)((double)done * 1000.0 / (double)total);
}

void progress_step(struct progress *progress, int64_t total, int64_t done, int64_t now_ms)
{
    if (progress->at_ms >= 0 && now_ms > progress->at_ms) {
        int64_t grown = done > progress->done ? done - progress->done : 0;
        int64_t rate = grown * 1000 / (now_ms - progress->at_ms);

        progress->rate = progress->rate < 0 ? rate : (progress->rate + rate) / 2;
    }
    progress->total = total;
    progress->done = done;
    progress->at_ms = now_ms;
    if (done >= total)
        progress->left_ms = 0;
    else
        progress->left_ms =
            progress->rate > 0 ? (int64_t)((double)(total - done) * 1000.0 / (double)progress->rate)
                               : -1;
}

void progress_bar(FILE *out, int32_t permille, int width)
{
    int full = permille * width / 1000;

    fputc('[', out);
    for (int i = 0; i < width; i++)
        fputs(i < full ? "█" : "░", out);
    fputc(']', out);
}
