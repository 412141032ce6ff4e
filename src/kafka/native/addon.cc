// The addon's functions for JavaScript: each request becomes a promise. A consumer's polls are in consumer_calls.cc. The
// only caller is src/kafka/native.ts.
//
// When a request may have ended, a thread-safe function of Node-API passes its number to the JavaScript thread. It keeps
// the process alive while requests are under way.
#include <node_api.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>

#include "consumer_calls.h"
#include "group_members_request.h"
#include "node_values.h"
#include "topic_ids_request.h"
#include "topic_settings_request.h"

namespace pockaffe {
namespace {

struct Question {
  napi_deferred deferred;
  std::unique_ptr<AdminRequest> request;
  std::function<napi_value()> topics;  // makes the list of the answer, once the request has ended
};

// The state of one JavaScript thread. Only that thread uses it, except for `wake`.
struct Environment {
  napi_threadsafe_function wake = nullptr;
  std::map<uintptr_t, std::unique_ptr<Question>> questions;
  uintptr_t last_number = 0;
};

std::vector<std::string> texts_of(napi_env env, napi_value list) {
  uint32_t length = 0;
  napi_get_array_length(env, list, &length);
  std::vector<std::string> result;
  for (uint32_t i = 0; i < length; i++) {
    napi_value each = nullptr;
    napi_get_element(env, list, i, &each);
    result.push_back(text_of(env, each));
  }
  return result;
}

template <typename T>
napi_value list_of(napi_env env, const std::vector<T>& all, napi_value (*value_of)(napi_env, const T&)) {
  napi_value result = nullptr;
  napi_create_array_with_length(env, all.size(), &result);
  for (uint32_t i = 0; i < all.size(); i++) napi_set_element(env, result, i, value_of(env, all[i]));
  return result;
}

// { topic, error, message }, for any topic or group
napi_value topic_value(napi_env env, const std::string& topic, rd_kafka_resp_err_t error, const std::string& message) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set(env, result, "topic", text(env, topic));
  set(env, result, "error", number(env, error));
  set(env, result, "message", text(env, message));
  return result;
}

// { topic, id, error, message, operations: number[] }
napi_value id_value(napi_env env, const TopicId& of) {
  napi_value result = topic_value(env, of.topic, of.error, of.message);
  set(env, result, "id", text(env, of.id));
  set(env, result, "operations",
      list_of<int32_t>(env, of.operations, [](napi_env env, const int32_t& each) { return number(env, each); }));
  return result;
}

// { topic, error, message, settings: { [name]: string } }
napi_value settings_value(napi_env env, const TopicSettings& of) {
  napi_value result = topic_value(env, of.topic, of.error, of.message);
  napi_value settings = nullptr;
  napi_create_object(env, &settings);
  for (const auto& [name, value] : of.settings) set(env, settings, name.c_str(), text(env, value));
  set(env, result, "settings", settings);
  return result;
}

// { clientId, instanceId, memberId, host, partitions: { topic, partition }[] }
napi_value member_value(napi_env env, const GroupMember& of) {
  napi_value result = object(env);
  set(env, result, "clientId", text(env, of.client_id));
  set(env, result, "instanceId", text(env, of.instance_id));
  set(env, result, "memberId", text(env, of.member_id));
  set(env, result, "host", text(env, of.host));
  set(env, result, "partitions",
      list_of<std::pair<std::string, int32_t>>(
          env, of.partitions, [](napi_env env, const std::pair<std::string, int32_t>& each) {
            napi_value partition = object(env);
            set(env, partition, "topic", text(env, each.first));
            set(env, partition, "partition", number(env, each.second));
            return partition;
          }));
  return result;
}

// { topic, error, message, state, members }, where `topic` is the group
napi_value group_value(napi_env env, const GroupMembers& of) {
  napi_value result = topic_value(env, of.group, of.error, of.message);
  set(env, result, "state", text(env, of.state));
  set(env, result, "members", list_of(env, of.members, member_value));
  return result;
}

// { error, message, topics }
napi_value value_of(napi_env env, const Question& question) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set(env, result, "error", number(env, question.request->error()));
  set(env, result, "message", text(env, question.request->message()));
  set(env, result, "topics", question.topics());
  return result;
}

void on_wake(napi_env env, napi_value, void* context, void* told) {
  if (env == nullptr) return;  // the JavaScript thread is ending
  auto* environment = static_cast<Environment*>(context);
  const auto found = environment->questions.find(reinterpret_cast<uintptr_t>(told));
  if (found == environment->questions.end()) return;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    if (!found->second->request->has_ended()) return;
  }
  // From here on only this thread has a pointer to the request.
  const std::unique_ptr<Question> question = std::move(found->second);
  environment->questions.erase(found);
  if (environment->questions.empty()) napi_unref_threadsafe_function(env, environment->wake);
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_resolve_deferred(env, question->deferred, value_of(env, *question));
  napi_close_handle_scope(env, scope);
}

// Returns a promise of the answer, or of null if no client has this name. `send` is called with the clients' mutex held.
template <typename Request, typename Send>
napi_value ask(napi_env env, Environment& environment, const std::string& client,
               napi_value (*topics_of)(napi_env, const Request&), Send send) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr, null = nullptr;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return nullptr;  // the JavaScript thread is ending
  const uintptr_t number = ++environment.last_number;
  auto request = std::make_unique<Request>([&environment, number] {
    napi_call_threadsafe_function(environment.wake, reinterpret_cast<void*>(number), napi_tsfn_nonblocking);
  });
  Request* asked = request.get();
  bool is_asked = false;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    if (rd_kafka_t* handle = find_client(client)) {
      send(*asked, handle);
      const auto topics = [env, asked, topics_of] { return topics_of(env, *asked); };
      environment.questions.emplace(number, new Question{deferred, std::move(request), topics});
      is_asked = true;
    }
  }
  if (is_asked) {
    if (environment.questions.size() == 1) napi_ref_threadsafe_function(env, environment.wake);
  } else {
    napi_get_null(env, &null);
    napi_resolve_deferred(env, deferred, null);
  }
  return promise;
}

// The arguments that all requests share: (client: string, broker: number, topics: string[], timeoutMs: number, ...)
struct Asked {
  std::string client;
  int32_t broker = 0;
  std::vector<std::string> topics;
  int32_t timeout_ms = 0;

  Asked(napi_env env, const napi_value* arguments) : client(text_of(env, arguments[0])), topics(texts_of(env, arguments[2])) {
    napi_get_value_int32(env, arguments[1], &broker);
    napi_get_value_int32(env, arguments[3], &timeout_ms);
  }
};

// topicIds(client, broker, topics, timeoutMs, withOperations?: boolean): Promise<{ error, message, topics } | null>
napi_value topic_ids(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5] = {};
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  const Asked asked(env, arguments);
  bool with_operations = false;
  napi_get_value_bool(env, arguments[4], &with_operations);  // stays false if it is left out
  const auto topics = [](napi_env env, const TopicIdsRequest& of) { return list_of(env, of.topics(), id_value); };
  return ask<TopicIdsRequest>(env, *static_cast<Environment*>(data), asked.client, topics,
                              [&](TopicIdsRequest& request, rd_kafka_t* handle) {
                                request.ask(handle, asked.broker, asked.topics, asked.timeout_ms, with_operations);
                              });
}

// topicSettings(client, broker, names, timeoutMs, ofBrokers = false): Promise<{ error, message, topics } | null>
napi_value topic_settings(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5] = {};
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  const Asked asked(env, arguments);
  bool of_brokers = false;
  if (count > 4) napi_get_value_bool(env, arguments[4], &of_brokers);
  const auto topics = [](napi_env env, const TopicSettingsRequest& of) { return list_of(env, of.topics(), settings_value); };
  return ask<TopicSettingsRequest>(env, *static_cast<Environment*>(data), asked.client, topics,
                                   [&](TopicSettingsRequest& request, rd_kafka_t* handle) {
                                     request.ask(handle, asked.broker, asked.topics, asked.timeout_ms, of_brokers);
                                   });
}

// groupMembers(client, broker, groups, timeoutMs): Promise<{ error, message, topics } | null>; `broker` is ignored
napi_value group_members(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value arguments[4] = {};
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  const Asked asked(env, arguments);
  const auto groups = [](napi_env env, const GroupMembersRequest& of) { return list_of(env, of.groups(), group_value); };
  return ask<GroupMembersRequest>(env, *static_cast<Environment*>(data), asked.client, groups,
                                  [&](GroupMembersRequest& request, rd_kafka_t* handle) {
                                    request.ask(handle, asked.topics, asked.timeout_ms);
                                  });
}

// living(): { clients, requests }. For tests.
napi_value living(napi_env env, napi_callback_info) {
  Counts found;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    found = counts();
  }
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set(env, result, "clients", number(env, static_cast<int64_t>(found.clients)));
  set(env, result, "requests", number(env, static_cast<int64_t>(found.dependents)));
  return result;
}

// The process or the JavaScript thread ends. Node runs this before it frees the thread-safe function, which no request may
// call after that.
void on_cleanup(void* data) {
  std::lock_guard<std::mutex> lock(clients_mutex());
  static_cast<Environment*>(data)->questions.clear();
}

// exitNow(code): ends the process at once, without waiting for its threads. Does not return.
napi_value exit_now(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
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
  napi_value name = nullptr;
  napi_create_string_utf8(env, "pockaffe", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, environment, on_wake,
                                  &environment->wake);
  napi_unref_threadsafe_function(env, environment->wake);
  napi_add_env_cleanup_hook(env, on_cleanup, environment);
  set(env, exports, "topicIds", function(env, "topicIds", topic_ids, environment));
  set(env, exports, "topicSettings", function(env, "topicSettings", topic_settings, environment));
  set(env, exports, "groupMembers", function(env, "groupMembers", group_members, environment));
  set(env, exports, "living", function(env, "living", living, nullptr));
  set(env, exports, "exitNow", function(env, "exitNow", exit_now, nullptr));
  add_consumer_calls(env, exports);
  return exports;
}
