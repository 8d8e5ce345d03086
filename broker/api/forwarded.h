/*
 * forwarded - the admin requests whose meaning lives in the controller: sent there as they came,
 * with who asks; the answer goes back as it came.
 */
#ifndef BROKER_API_FORWARDED_H
#define BROKER_API_FORWARDED_H

#include "broker/net/dispatch.h"

handler_fn api_forwarded;

#endif
