// What JavaScript sees of the addon: promises in place of requests. See src/kafka/native.ts, its only user.
//
// A thread-safe function carries the number of a request that may have ended to the thread of JavaScript. It keeps the
// process alive while requests are under way.
#include <node_api.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "topic_ids_request.h"

namespace pockaffe {
namespace {

struct Question {
  napi_deferred deferred;
  TopicIdsRequest request;
};

// Of one JavaScript thread, and used on it alone.
struct Environment {
  napi_threadsafe_function wake = nullptr;
  std::map<uintptr_t, std::unique_ptr<Question>> questions;
  uintptr_t last_number = 0;
};

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value number(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

// Empty where it is no text.
std::string text_of(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return "";
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

// { error, message, topics: [{ topic, id, error, message, operations: number[] }] }
napi_value value_of(napi_env env, const TopicIdsAnswer& answer) {
  napi_value result, topics;
  napi_create_object(env, &result);
  napi_create_array_with_length(env, answer.topics.size(), &topics);
  set(env, result, "error", number(env, answer.error));
  set(env, result, "message", text(env, answer.message));
  set(env, result, "topics", topics);
  uint32_t at = 0;
  for (const TopicId& each : answer.topics) {
    napi_value topic;
    napi_create_object(env, &topic);
    set(env, topic, "topic", text(env, each.topic));
    set(env, topic, "id", text(env, each.id));
    set(env, topic, "error", number(env, each.error));
    set(env, topic, "message", text(env, each.message));
    napi_value operations;
    napi_create_array_with_length(env, each.operations.size(), &operations);
    for (uint32_t i = 0; i < each.operations.size(); i++) napi_set_element(env, operations, i, number(env, each.operations[i]));
    set(env, topic, "operations", operations);
    napi_set_element(env, topics, at++, topic);
  }
  return result;
}

void on_wake(napi_env env, napi_value, void* context, void* told) {
  if (env == nullptr) return;  // the environment ends
  auto* environment = static_cast<Environment*>(context);
  const auto found = environment->questions.find(reinterpret_cast<uintptr_t>(told));
  if (found == environment->questions.end()) return;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    if (!found->second->request.has_ended()) return;
  }
  // It is this thread's alone now.
  const std::unique_ptr<Question> question = std::move(found->second);
  environment->questions.erase(found);
  if (environment->questions.empty()) napi_unref_threadsafe_function(env, environment->wake);
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_resolve_deferred(env, question->deferred, value_of(env, question->request.answer()));
  napi_close_handle_scope(env, scope);
}

// False where no such client lives.
bool ask(Environment& environment, napi_deferred deferred, const std::string& client, int32_t broker,
         const std::vector<std::string>& topics, int32_t timeout_ms, bool with_operations) {
  const uintptr_t number = ++environment.last_number;
  const auto wake = [&environment, number] {
    napi_call_threadsafe_function(environment.wake, reinterpret_cast<void*>(number), napi_tsfn_nonblocking);
  };
  std::unique_ptr<Question> question(new Question{deferred, TopicIdsRequest(wake)});
  std::lock_guard<std::mutex> lock(clients_mutex());
  rd_kafka_t* handle = find_client(client);
  if (handle == nullptr) return false;
  question->request.ask(handle, broker, topics, timeout_ms, with_operations);
  environment.questions.emplace(number, std::move(question));
  return true;
}

// topicIds(client: string, broker: number, topics: string[], timeoutMs: number, withOperations?: boolean):
//   Promise<{ error, message, topics } | null>
napi_value topic_ids(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  auto* environment = static_cast<Environment*>(data);
  const std::string client = text_of(env, arguments[0]);
  int32_t broker = 0, timeout_ms = 0;
  napi_get_value_int32(env, arguments[1], &broker);
  napi_get_value_int32(env, arguments[3], &timeout_ms);
  bool with_operations = false;
  napi_get_value_bool(env, arguments[4], &with_operations);  // false where it is left out
  uint32_t length = 0;
  napi_get_array_length(env, arguments[2], &length);
  std::vector<std::string> topics;
  for (uint32_t i = 0; i < length; i++) {
    napi_value topic;
    napi_get_element(env, arguments[2], i, &topic);
    topics.push_back(text_of(env, topic));
  }

  napi_deferred deferred;
  napi_value promise, null;
  napi_create_promise(env, &deferred, &promise);
  if (ask(*environment, deferred, client, broker, topics, timeout_ms, with_operations)) {
    if (environment->questions.size() == 1) napi_ref_threadsafe_function(env, environment->wake);
  } else {
    napi_get_null(env, &null);
    napi_resolve_deferred(env, deferred, null);
  }
  return promise;
}

// living(): { clients, requests }, for tests.
napi_value living(napi_env env, napi_callback_info) {
  Counts found;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    found = counts();
  }
  napi_value result;
  napi_create_object(env, &result);
  set(env, result, "clients", number(env, static_cast<int64_t>(found.clients)));
  set(env, result, "requests", number(env, static_cast<int64_t>(found.dependents)));
  return result;
}

// The process or the thread ends. Runs before the thread-safe function goes: no request may use it any more.
void on_cleanup(void* data) {
  std::lock_guard<std::mutex> lock(clients_mutex());
  static_cast<Environment*>(data)->questions.clear();
}

// exitNow(code): ends the process without waiting for any of its threads. Does not come back.
napi_value exit_now(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t code = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int32(env, argument, &code);
  _exit(code);
}

}  // namespace
}  // namespace pockaffe

NAPI_MODULE_INIT() {
  using namespace pockaffe;
  auto* environment = new Environment;
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); };
  napi_set_instance_data(env, environment, forget, nullptr);
  napi_value name, function;
  napi_create_string_utf8(env, "pockaffe", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, environment, on_wake,
                                  &environment->wake);
  napi_unref_threadsafe_function(env, environment->wake);
  napi_add_env_cleanup_hook(env, on_cleanup, environment);
  napi_create_function(env, "topicIds", NAPI_AUTO_LENGTH, topic_ids, environment, &function);
  set(env, exports, "topicIds", function);
  napi_create_function(env, "living", NAPI_AUTO_LENGTH, living, nullptr, &function);
  set(env, exports, "living", function);
  napi_create_function(env, "exitNow", NAPI_AUTO_LENGTH, exit_now, nullptr, &function);
  set(env, exports, "exitNow", function);
  return exports;
}
