/*
 * find_coordinator - the handlers of FindCoordinator (0 to 6) and InitProducerId (0 to 5).
 */
#ifndef BROKER_API_FIND_COORDINATOR_H
#define BROKER_API_FIND_COORDINATOR_H

#include "broker/net/dispatch.h"

handler_fn api_find_coordinator;
handler_fn api_init_producer_id;

#endif
