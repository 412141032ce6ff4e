#include "topic_settings_request.h"

namespace pockaffe {
namespace {

std::vector<std::pair<std::string, std::string>> settings_of(const rd_kafka_ConfigResource_t* topic) {
  size_t count = 0;
  const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(topic, &count);
  std::vector<std::pair<std::string, std::string>> settings;
  for (size_t i = 0; i < count; i++) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    if (value != nullptr) settings.emplace_back(rd_kafka_ConfigEntry_name(entries[i]), value);
  }
  return settings;
}

}  // namespace

void TopicSettingsRequest::ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& names,
                               int timeout_ms, bool of_brokers) {
  const rd_kafka_ResourceType_t type = of_brokers ? RD_KAFKA_RESOURCE_BROKER : RD_KAFKA_RESOURCE_TOPIC;
  std::vector<rd_kafka_ConfigResource_t*> resources;
  for (const std::string& each : names) resources.push_back(rd_kafka_ConfigResource_new(type, each.c_str()));
  rd_kafka_AdminOptions_t* options = begin(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, broker, timeout_ms);
  rd_kafka_DescribeConfigs(client, resources.data(), resources.size(), options, queue());
  rd_kafka_ConfigResource_destroy_array(resources.data(), resources.size());
  rd_kafka_AdminOptions_destroy(options);
}

void TopicSettingsRequest::read(rd_kafka_event_t* event) {
  const rd_kafka_DescribeConfigs_result_t* result = rd_kafka_event_DescribeConfigs_result(event);
  if (result == nullptr) return;
  size_t count = 0;
  const rd_kafka_ConfigResource_t** topics = rd_kafka_DescribeConfigs_result_resources(result, &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(topics[i]);
    const bool is_told = error == RD_KAFKA_RESP_ERR_NO_ERROR;
    topics_.push_back({rd_kafka_ConfigResource_name(topics[i]), error,
                       is_told ? "" : words(rd_kafka_ConfigResource_error_string(topics[i]), error),
                       settings_of(topics[i])});
  }
}

}  // namespace pockaffe
