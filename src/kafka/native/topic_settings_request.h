// The effective settings of topics, including the broker's defaults, or of brokers: librdkafka's DescribeConfigs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "admin_request.h"

namespace pockaffe {

struct TopicSettings {
  std::string topic;  // or the broker's number
  rd_kafka_resp_err_t error;  // e.g. no such topic, no right to describe it
  std::string message;  // of the error
  std::vector<std::pair<std::string, std::string>> settings;  // only those with a value
};

class TopicSettingsRequest final : public AdminRequest {
 public:
  using AdminRequest::AdminRequest;

  // `names` of topics, or, with `of_brokers`, the number of one broker, which is then asked.
  void ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& names, int timeout_ms, bool of_brokers);

  const std::vector<TopicSettings>& topics() const { return topics_; }

 private:
  void read(rd_kafka_event_t* event) override;

  std::vector<TopicSettings> topics_;
};

}  // namespace pockaffe
