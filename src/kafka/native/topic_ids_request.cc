#include "topic_ids_request.h"

namespace pockaffe {
namespace {

std::string id_of(const rd_kafka_TopicDescription_t* topic) {
  const rd_kafka_Uuid_t* id = rd_kafka_TopicDescription_topic_id(topic);
  if (id == nullptr) return "";
  const bool is_zero = rd_kafka_Uuid_most_significant_bits(id) == 0 && rd_kafka_Uuid_least_significant_bits(id) == 0;
  const char* text = is_zero ? nullptr : rd_kafka_Uuid_base64str(id);
  return text != nullptr ? text : "";
}

std::vector<int32_t> operations_on(const rd_kafka_TopicDescription_t* topic) {
  size_t count = 0;
  const rd_kafka_AclOperation_t* operations = rd_kafka_TopicDescription_authorized_operations(topic, &count);
  return operations != nullptr ? std::vector<int32_t>(operations, operations + count) : std::vector<int32_t>();
}

std::string words(const char* message, rd_kafka_resp_err_t error) {
  return message != nullptr ? message : rd_kafka_err2str(error);
}

}  // namespace

void TopicIdsRequest::ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms,
                          bool with_operations) {
  std::vector<const char*> names;
  for (const std::string& each : topics) names.push_back(each.c_str());
  queue_ = rd_kafka_queue_new(client);
  add_dependent(client, this);
  // Called under the queue's lock, so never again once `end` has taken it away.
  rd_kafka_queue_cb_event_enable(
      queue_, [](rd_kafka_t*, void* self) { static_cast<TopicIdsRequest*>(self)->wake_(); }, this);
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
  char refusal[256];
  rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, refusal, sizeof refusal);
  rd_kafka_AdminOptions_set_broker(options, broker, refusal, sizeof refusal);
  // Brokers before Kafka 2.3 refuse the whole question.
  if (with_operations) rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
  rd_kafka_TopicCollection_t* collection = rd_kafka_TopicCollection_of_topic_names(names.data(), names.size());
  rd_kafka_DescribeTopics(client, collection, options, queue_);
  rd_kafka_TopicCollection_destroy(collection);
  rd_kafka_AdminOptions_destroy(options);
}

bool TopicIdsRequest::has_ended() {
  if (queue_ == nullptr) return true;
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, 0);
  if (event == nullptr) return false;
  read(event);
  rd_kafka_event_destroy(event);
  end();
  return true;
}

void TopicIdsRequest::client_gone() {
  answer_.error = RD_KAFKA_RESP_ERR__DESTROY;
  answer_.message = "the client was closed";
  end();
  wake_();
}

void TopicIdsRequest::end() {
  if (queue_ == nullptr) return;
  remove_dependent(this);
  rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
  rd_kafka_queue_destroy(queue_);
  queue_ = nullptr;
}

void TopicIdsRequest::read(rd_kafka_event_t* event) {
  answer_.error = rd_kafka_event_error(event);
  if (answer_.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    answer_.message = words(rd_kafka_event_error_string(event), answer_.error);
    return;
  }
  const rd_kafka_DescribeTopics_result_t* result = rd_kafka_event_DescribeTopics_result(event);
  if (result == nullptr) return;
  size_t count = 0;
  const rd_kafka_TopicDescription_t** topics = rd_kafka_DescribeTopics_result_topics(result, &count);
  for (size_t i = 0; i < count; i++) {
    if (topics[i] == nullptr) continue;  // a broker that left one out
    const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(topics[i]);
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    answer_.topics.push_back({rd_kafka_TopicDescription_name(topics[i]), id_of(topics[i]), code,
                              code == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : words(rd_kafka_error_string(error), code),
                              operations_on(topics[i])});
  }
}

}  // namespace pockaffe
