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

}  // namespace

void TopicIdsRequest::ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms,
                          bool with_operations) {
  std::vector<const char*> names;
  for (const std::string& each : topics) names.push_back(each.c_str());
  rd_kafka_AdminOptions_t* options = begin(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, broker, timeout_ms);
  // Asked only if wanted: brokers before Kafka 2.3 refuse the whole request.
  if (with_operations) rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
  rd_kafka_TopicCollection_t* collection = rd_kafka_TopicCollection_of_topic_names(names.data(), names.size());
  rd_kafka_DescribeTopics(client, collection, options, queue());
  rd_kafka_TopicCollection_destroy(collection);
  rd_kafka_AdminOptions_destroy(options);
}

void TopicIdsRequest::read(rd_kafka_event_t* event) {
  const rd_kafka_DescribeTopics_result_t* result = rd_kafka_event_DescribeTopics_result(event);
  if (result == nullptr) return;
  size_t count = 0;
  const rd_kafka_TopicDescription_t** topics = rd_kafka_DescribeTopics_result_topics(result, &count);
  for (size_t i = 0; i < count; i++) {
    if (topics[i] == nullptr) continue;  // the broker left this topic out
    const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(topics[i]);
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    topics_.push_back({rd_kafka_TopicDescription_name(topics[i]), id_of(topics[i]), code,
                       code == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : words(rd_kafka_error_string(error), code),
                       operations_on(topics[i])});
  }
}

}  // namespace pockaffe
