/*
 * fetch - the handler of Fetch, versions 0 to 17: consumers and followers alike.
 */
#ifndef BROKER_API_FETCH_H
#define BROKER_API_FETCH_H

#include "broker/net/dispatch.h"

handler_fn api_fetch;

#endif
