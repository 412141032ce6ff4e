// What JavaScript sees of a consumer's queue: `openConsumer`, `pollConsumer`, `releaseConsumer`. See src/kafka/native.ts.
#pragma once

#include <node_api.h>

namespace pockaffe {

void add_consumer_calls(napi_env env, napi_value exports);

}  // namespace pockaffe
