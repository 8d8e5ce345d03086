/*
 * names - host names for tests, behind the seam of common/io/resolver: every name is found at
 * 127.0.0.1, but for those that begin with "no.", "hang." or "mute.". The first are nobody's; a
 * look-up of the second takes until they are let go, and one of the third is given up at once as
 * long as they are not, for no name server answers; then both find 127.0.0.1, too.
 *
 * Threads: the functions may be called from any.
 */
#ifndef TESTS_KIT_NAMES_H
#define TESTS_KIT_NAMES_H

#include "common/io/resolver.h"

struct names;

struct names *names_new(void);
/* After the resolver: it waits until the threads that look names up have ended, which must have
 * been let go. */
void names_free(struct names **names_ptr);

/* With names as its arg. */
resolver_look names_look;

/* All that hang end, and none hangs or is mute from now on; or they do again. */
void names_let_go(struct names *names, bool go);

/* Look-ups that were begun so far. */
int names_count(struct names *names);
/* Waits until so many look-ups hang. */
void names_await_hanging(struct names *names, int count);

#endif
