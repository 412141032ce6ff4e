// topicIds(client, broker, topics, timeoutMs): Kafka's ids (KIP-516) of topics, asked by librdkafka's DescribeTopics on a client that node-rdkafka made.
//
// No thread waits for the answer. A request has a queue of its own; librdkafka says on one of its threads that something is in it, a thread-safe
// function carries the request's number to the main thread, and there the answer is read. A request ends once, by one of three: its answer, the end
// of its client, the end of Node's environment. All of it is guarded by the clients' mutex.
#include <node_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clients.h"

namespace pockaffe {
namespace {

class Request;

// Node's environment: the main thread's. `wake` carries numbers of requests to it, and keeps the process alive while there are any.
struct Environment {
  napi_threadsafe_function wake = nullptr;
  std::map<uint64_t, std::unique_ptr<Request>> requests;
  uint64_t last_number = 0;

  void tell(uint64_t number) const { napi_call_threadsafe_function(wake, reinterpret_cast<void*>(number), napi_tsfn_nonblocking); }
};

struct Topic {
  std::string name;
  std::string id;  // empty: the broker has none
  rd_kafka_resp_err_t error;
};

struct Answer {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string message;
  std::vector<Topic> topics;
};

class Request final : public Dependent {
 public:
  Request(const Environment& environment, uint64_t number, napi_deferred deferred)
      : environment_(environment), number_(number), deferred_(deferred) {}

  ~Request() override {
    if (queue_ == nullptr) return;
    drop_queue();
    remove_dependent(this);
  }

  void ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms) {
    std::vector<const char*> names;
    for (const std::string& each : topics) names.push_back(each.c_str());
    queue_ = rd_kafka_queue_new(client);
    add_dependent(client, this);
    rd_kafka_queue_cb_event_enable(
        queue_, [](rd_kafka_t*, void* self) { static_cast<Request*>(self)->tell(); }, this);
    rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    char error[256];
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, error, sizeof error);
    // Otherwise the controller is asked, which may be away while all others answer.
    rd_kafka_AdminOptions_set_broker(options, broker, error, sizeof error);
    rd_kafka_TopicCollection_t* collection = rd_kafka_TopicCollection_of_topic_names(names.data(), names.size());
    rd_kafka_DescribeTopics(client, collection, options, queue_);
    rd_kafka_TopicCollection_destroy(collection);
    rd_kafka_AdminOptions_destroy(options);
  }

  void client_gone() override {
    answer_.error = RD_KAFKA_RESP_ERR__DESTROY;
    answer_.message = "the client was closed";
    drop_queue();
    tell();
  }

  // True where the answer is there, or none will come.
  bool is_answered() {
    if (queue_ == nullptr) return true;
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, 0);
    if (event == nullptr) return false;
    read(event);
    rd_kafka_event_destroy(event);
    return true;
  }

  const Answer& answer() const { return answer_; }
  napi_deferred deferred() const { return deferred_; }

 private:
  void tell() const { environment_.tell(number_); }

  // Behind it librdkafka calls no more: the callback runs under the queue's own lock.
  void drop_queue() {
    rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
    rd_kafka_queue_destroy(queue_);
    queue_ = nullptr;
  }

  void read(rd_kafka_event_t* event) {
    answer_.error = rd_kafka_event_error(event);
    if (answer_.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* message = rd_kafka_event_error_string(event);
      answer_.message = message != nullptr ? message : rd_kafka_err2str(answer_.error);
      return;
    }
    size_t count = 0;
    const rd_kafka_TopicDescription_t** found =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
      const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(found[i]);
      answer_.topics.push_back({rd_kafka_TopicDescription_name(found[i]), id_of(found[i]), rd_kafka_error_code(error)});
    }
  }

  static std::string id_of(const rd_kafka_TopicDescription_t* topic) {
    const rd_kafka_Uuid_t* id = rd_kafka_TopicDescription_topic_id(topic);
    const bool is_set =
        id != nullptr && (rd_kafka_Uuid_most_significant_bits(id) != 0 || rd_kafka_Uuid_least_significant_bits(id) != 0);
    return is_set ? rd_kafka_Uuid_base64str(id) : "";
  }

  const Environment& environment_;
  const uint64_t number_;
  const napi_deferred deferred_;
  rd_kafka_queue_t* queue_ = nullptr;
  Answer answer_;
};

void set(napi_env env, napi_value object, const char* name, napi_value value) { napi_set_named_property(env, object, name, value); }

napi_value number(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

std::string text_of(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return "";
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

// { error, message, topics: [{ name, id, error }] }
napi_value value_of(napi_env env, const Answer& answer) {
  napi_value result, topics;
  napi_create_object(env, &result);
  napi_create_array_with_length(env, answer.topics.size(), &topics);
  set(env, result, "error", number(env, answer.error));
  set(env, result, "message", text(env, answer.message));
  set(env, result, "topics", topics);
  uint32_t at = 0;
  for (const Topic& each : answer.topics) {
    napi_value topic;
    napi_create_object(env, &topic);
    set(env, topic, "name", text(env, each.name));
    set(env, topic, "id", text(env, each.id));
    set(env, topic, "error", number(env, each.error));
    napi_set_element(env, topics, at++, topic);
  }
  return result;
}

// On the main thread: a request's queue has something, or its client is gone.
void on_told(napi_env env, napi_value, void* context, void* told) {
  if (env == nullptr) return;
  auto* environment = static_cast<Environment*>(context);
  std::unique_ptr<Request> request;
  {
    std::lock_guard<std::mutex> lock(clients_mutex());
    const auto found = environment->requests.find(reinterpret_cast<uint64_t>(told));
    if (found == environment->requests.end() || !found->second->is_answered()) return;
    request = std::move(found->second);
    environment->requests.erase(found);
    if (environment->requests.empty()) napi_unref_threadsafe_function(env, environment->wake);
  }
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_resolve_deferred(env, request->deferred(), value_of(env, request->answer()));
  napi_close_handle_scope(env, scope);
  std::lock_guard<std::mutex> lock(clients_mutex());
  request.reset();
}

// topicIds(client: string, broker: number, topics: string[], timeoutMs: number): Promise<{ error, message, topics }>, or null: there is no such client
napi_value topic_ids(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value arguments[4];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  auto* environment = static_cast<Environment*>(data);
  uint32_t length = 0;
  napi_get_array_length(env, arguments[2], &length);
  std::vector<std::string> topics;
  for (uint32_t i = 0; i < length; i++) {
    napi_value topic;
    napi_get_element(env, arguments[2], i, &topic);
    topics.push_back(text_of(env, topic));
  }
  int32_t broker = 0, timeout_ms = 0;
  napi_get_value_int32(env, arguments[1], &broker);
  napi_get_value_int32(env, arguments[3], &timeout_ms);
  const std::string name = text_of(env, arguments[0]);

  napi_value promise;
  std::lock_guard<std::mutex> lock(clients_mutex());
  rd_kafka_t* client = find_client(name);
  if (client == nullptr || topics.empty()) {
    napi_get_null(env, &promise);
    return promise;
  }
  napi_deferred deferred;
  napi_create_promise(env, &deferred, &promise);
  if (environment->requests.empty()) napi_ref_threadsafe_function(env, environment->wake);
  const uint64_t next = ++environment->last_number;
  auto& request = environment->requests[next] = std::make_unique<Request>(*environment, next, deferred);
  request->ask(client, broker, topics, timeout_ms);
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
  set(env, result, "clients", number(env, static_cast<int32_t>(found.clients)));
  set(env, result, "requests", number(env, static_cast<int32_t>(found.dependents)));
  return result;
}

// The process ends, or the thread: what was asked is of no use any more. The environment itself stays, a few bytes: librdkafka's threads may be about.
void on_cleanup(void* data) {
  auto* environment = static_cast<Environment*>(data);
  std::lock_guard<std::mutex> lock(clients_mutex());
  environment->requests.clear();
}

}  // namespace
}  // namespace pockaffe

NAPI_MODULE_INIT() {
  using namespace pockaffe;
  auto* environment = new Environment;
  napi_value name, function;
  napi_create_string_utf8(env, "pockaffe", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, environment, on_told, &environment->wake);
  napi_unref_threadsafe_function(env, environment->wake);
  napi_add_env_cleanup_hook(env, on_cleanup, environment);
  napi_create_function(env, "topicIds", NAPI_AUTO_LENGTH, topic_ids, environment, &function);
  napi_set_named_property(env, exports, "topicIds", function);
  napi_create_function(env, "living", NAPI_AUTO_LENGTH, living, nullptr, &function);
  napi_set_named_property(env, exports, "living", function);
  return exports;
}
