/*
 * delete_records - the handler of DeleteRecords, versions 0 to 2.
 */
#ifndef BROKER_API_DELETE_RECORDS_H
#define BROKER_API_DELETE_RECORDS_H

#include "broker/net/dispatch.h"

handler_fn api_delete_records;

#endif
