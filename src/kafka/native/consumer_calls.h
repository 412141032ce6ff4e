// The functions for a consumer's queue that JavaScript calls: `openConsumer`, `pollConsumer`, `wakeConsumer`,
// `releaseConsumer`. Their only caller is src/kafka/native.ts.
#pragma once

#include <node_api.h>

namespace pockaffe {

void add_consumer_calls(napi_env env, napi_value exports);

}  // namespace pockaffe
