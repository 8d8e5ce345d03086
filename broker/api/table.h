/*
 * table - which handler serves which API in which versions: what is advertised is what works.
 */
#ifndef BROKER_API_TABLE_H
#define BROKER_API_TABLE_H

#include "broker/api/api.h"
#include "broker/net/dispatch.h"

/* api: the context of every handler. */
void api_table_init(struct dispatch *dispatch, struct api *api);

#endif
