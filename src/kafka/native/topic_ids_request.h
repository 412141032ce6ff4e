// The ids (KIP-516) of topics, and what this user may do with them where that is asked, by librdkafka's DescribeTopics.
#pragma once

#include <string>
#include <vector>

#include "admin_request.h"

namespace pockaffe {

struct TopicId {
  std::string topic;
  std::string id;  // as librdkafka writes it (base64 without padding); empty: the broker has none
  rd_kafka_resp_err_t error;
  std::string message;  // of the error
  std::vector<int32_t> operations;  // that this user may do, by Kafka's numbers (AclOperation); empty where it was not asked
};

class TopicIdsRequest final : public AdminRequest {
 public:
  using AdminRequest::AdminRequest;

  // Asks this broker. The controller, librdkafka's own choice, may be away while all others answer.
  void ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms,
           bool with_operations);

  const std::vector<TopicId>& topics() const { return topics_; }

 private:
  void read(rd_kafka_event_t* event) override;

  std::vector<TopicId> topics_;
};

}  // namespace pockaffe
