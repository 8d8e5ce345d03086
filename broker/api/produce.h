/*
 * produce - the handler of Produce, versions 0 to 11.
 */
#ifndef BROKER_API_PRODUCE_H
#define BROKER_API_PRODUCE_H

#include "broker/net/dispatch.h"

handler_fn api_produce;

#endif
