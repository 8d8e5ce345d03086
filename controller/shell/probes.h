/*
 * probes - connect to a broker's endpoints and see: refused, answered or silence.
 *
 * Refused is only what a host itself says (ECONNREFUSED), and the hosts of all endpoints do; an
 * answer of one is an answer. Everything else that fails, on our side too, is silence. Names are
 * looked up by the resolver, literal addresses at once.
 *
 * Threads:    the event thread; done() is called from its reactor, never inside probes_run().
 */
#ifndef CONTROLLER_SHELL_PROBES_H
#define CONTROLLER_SHELL_PROBES_H

#include <stdint.h>

#include "common/base/str.h"
#include "common/io/reactor.h"
#include "common/io/resolver.h"
#include "controller/core/core.h"

struct probes;

/* broker and number as asked with. */
typedef void probes_done(void *arg, int32_t broker, uint64_t number, enum core_probe_result result);

struct probes *probes_new(struct reactor *reactor, struct resolver *resolver);
/* What runs is not heard of any more. The reactor runs on a while, or is stopped by reactor_stop().
 */
void probes_free(struct probes **probes);

/* timeout_ms: of each connection; looking up its name may take longer. */
void probes_run(struct probes *probes, const struct core_probe *probe, int64_t timeout_ms,
                probes_done *done, void *arg);

#endif
