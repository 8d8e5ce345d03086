/*
 * describe_configs - DescribeConfigs (API 32): settings of topics, of this broker, of its loggers,
 * with where each comes from.
 *
 * Threads: any.
 */
#ifndef BROKER_API_DESCRIBE_CONFIGS_H
#define BROKER_API_DESCRIBE_CONFIGS_H

#include "broker/api/api.h"
#include "gen/wire/describe_configs.h"

#define DESCRIBE_CONFIGS_MIN 0
#define DESCRIBE_CONFIGS_MAX 4

/* A handler_fn; context: the struct api. */
void describe_configs_handle(struct request *req, void *body, void *context);

/* What it answers by this image (NULL: none yet). The answer lives as long as image and arena. */
void describe_configs_answer(const struct api *api, const struct image *image,
                             const struct describe_configs_request *req, struct arena *arena,
                             struct describe_configs_response *resp);

#endif
