// A poll waits on a thread of Node's pool (libuv). Meanwhile it keeps the queue alive, and also its owner, the JavaScript
// object of the client: the garbage collector must not destroy the client during a poll. The messages go to JavaScript
// without a copy.
#include "consumer_calls.h"

#include <cstring>
#include <memory>
#include <utility>

#include "consumer_queue.h"
#include "node_values.h"

namespace pockaffe {
namespace {

using Queue = std::shared_ptr<ConsumerQueue>;

struct Poll {
  Queue queue;
  size_t count;
  int timeout_ms;
  size_t most_bytes;
  Polled polled;
  napi_ref owner;
  napi_deferred deferred;
  napi_async_work work;
};

void free_memory(napi_env, void* memory, void*) { std::free(memory); }

// Gives the memory to JavaScript, which frees it. Copies it if this Node takes no external memory.
napi_value buffer_of(napi_env env, Memory memory, size_t size) {
  napi_value buffer = nullptr;
  void* copy = nullptr;
  // Not for an empty buffer: Node would not call `free_memory` for it.
  if (size > 0) {
    const napi_status made = napi_create_external_arraybuffer(env, memory.get(), size, free_memory, nullptr, &buffer);
    if (made == napi_ok) return memory.release(), buffer;
  }
  napi_create_arraybuffer(env, size, &copy, &buffer);
  if (size > 0 && copy != nullptr) std::memcpy(copy, memory.get(), size);
  return buffer;
}

napi_value value_of(napi_env env, PackedPartition& packed) {
  const napi_value value = object(env);
  set(env, value, "topic", text(env, packed.topic));
  set(env, value, "partition", number(env, packed.partition));
  set(env, value, "length", number(env, static_cast<int64_t>(packed.length)));
  set(env, value, "arrays", buffer_of(env, std::move(packed.arrays), packed.arrays_size));
  set(env, value, "bytes", buffer_of(env, std::move(packed.bytes), packed.bytes_size));
  return value;
}

napi_value value_of(napi_env env, const PartitionEnd& end) {
  const napi_value value = object(env);
  set(env, value, "topic", text(env, end.topic));
  set(env, value, "partition", number(env, end.partition));
  set(env, value, "offset", number(env, end.offset));
  return value;
}

napi_value value_of(napi_env env, rd_kafka_resp_err_t error) {
  const napi_value value = object(env);
  set(env, value, "code", number(env, error));
  set(env, value, "message", text(env, rd_kafka_err2str(error)));
  return value;
}

template <typename Each>
napi_value list_of(napi_env env, std::vector<Each>& all) {
  napi_value list = nullptr;
  napi_create_array_with_length(env, all.size(), &list);
  uint32_t at = 0;
  for (Each& each : all) napi_set_element(env, list, at++, value_of(env, each));
  return list;
}

void execute(napi_env, void* data) {
  auto* poll = static_cast<Poll*>(data);
  poll->polled = poll->queue->poll(poll->count, poll->timeout_ms, poll->most_bytes);
}

void complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Poll> poll(static_cast<Poll*>(data));
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  const napi_value result = object(env);
  // `set` fails if the JavaScript thread is ending. Then nobody waits for the result, and `poll` frees the memory.
  if (set(env, result, "errors", list_of(env, poll->polled.errors))) {
    set(env, result, "ends", list_of(env, poll->polled.ends));
    set(env, result, "partitions", list_of(env, poll->polled.partitions));
    napi_resolve_deferred(env, poll->deferred, result);
  }
  napi_delete_reference(env, poll->owner);
  napi_delete_async_work(env, poll->work);
  napi_close_handle_scope(env, scope);
}

// Marks the handles of `open_consumer`: another addon's external would be taken for a queue.
constexpr napi_type_tag handle_tag = {0x6f3c2d9a5b7e4810, 0xa1d4e86b93c05f27};

// Null if the value is no handle of `open_consumer`: then JavaScript gets a TypeError.
Queue* queue_of(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  bool is_handle = false;
  void* queue = nullptr;
  napi_typeof(env, value, &type);
  if (type == napi_external) napi_check_object_type_tag(env, value, &handle_tag, &is_handle);
  if (is_handle) napi_get_value_external(env, value, &queue);
  if (queue == nullptr) napi_throw_type_error(env, nullptr, "this is no handle of a consumer");
  return static_cast<Queue*>(queue);
}

// The queue of a call whose only argument is a handle; see `queue_of`.
Queue* queue_of_call(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  return queue_of(env, argument);
}

// openConsumer(client: string): a handle, or null if no client has this name or it is not a consumer.
napi_value open_consumer(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr, result = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  const std::string name = text_of(env, argument);
  Queue queue;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    rd_kafka_t* client = find_client(name);
    if (client != nullptr) queue = std::make_shared<ConsumerQueue>(client);
  }
  napi_get_null(env, &result);
  if (!queue || !queue->is_open()) return result;
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Queue*>(data); };
  auto handle = std::make_unique<Queue>(queue);
  if (napi_create_external(env, handle.get(), forget, nullptr, &result) == napi_ok) {
    handle.release();
    napi_type_tag_object(env, result, &handle_tag);
  }
  return result;
}

// pollConsumer(handle, owner: object, count: number, timeoutMs: number, mostBytes: number):
//   Promise<{ partitions, ends, errors }>
napi_value poll_consumer(napi_env env, napi_callback_info info) {
  size_t arguments_count = 5;
  napi_value arguments[5] = {};
  napi_get_cb_info(env, info, &arguments_count, arguments, nullptr, nullptr);
  uint32_t count = 1, most_bytes = 0;
  Queue* const queue = queue_of(env, arguments[0]);
  if (queue == nullptr) return nullptr;
  auto poll = std::make_unique<Poll>();
  poll->queue = *queue;
  napi_get_value_uint32(env, arguments[2], &count);
  napi_get_value_int32(env, arguments[3], &poll->timeout_ms);
  napi_get_value_uint32(env, arguments[4], &most_bytes);
  poll->count = count > 0 ? count : 1;
  poll->most_bytes = most_bytes;
  napi_value promise = nullptr;
  if (napi_create_promise(env, &poll->deferred, &promise) != napi_ok) return nullptr;  // the JavaScript thread is ending
  napi_create_reference(env, arguments[1], 1, &poll->owner);
  napi_create_async_work(env, nullptr, text(env, "pockaffe:poll"), execute, complete, poll.get(), &poll->work);
  napi_queue_async_work(env, poll.release()->work);
  return promise;
}

// wakeConsumer(handle): ends the wait of a poll under way.
napi_value wake_consumer(napi_env env, napi_callback_info info) {
  if (Queue* const queue = queue_of_call(env, info)) (*queue)->wake();
  return nullptr;
}

// releaseConsumer(handle): gives the queue back to librdkafka. Blocks until a poll under way has ended.
napi_value release_consumer(napi_env env, napi_callback_info info) {
  if (Queue* const queue = queue_of_call(env, info)) (*queue)->release();
  return nullptr;
}

}  // namespace

void add_consumer_calls(napi_env env, napi_value exports) {
  set(env, exports, "openConsumer", function(env, "openConsumer", open_consumer, nullptr));
  set(env, exports, "pollConsumer", function(env, "pollConsumer", poll_consumer, nullptr));
  set(env, exports, "wakeConsumer", function(env, "wakeConsumer", wake_consumer, nullptr));
  set(env, exports, "releaseConsumer", function(env, "releaseConsumer", release_consumer, nullptr));
}

}  // namespace pockaffe
