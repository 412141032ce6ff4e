// The ids (KIP-516) of topics and, if asked for, what this user may do with them: librdkafka's DescribeTopics.
#pragma once

#include <string>
#include <vector>

#include "admin_request.h"

namespace pockaffe {

struct TopicId {
  std::string topic;
  std::string id;  // as librdkafka writes it (base64 without padding); empty if the broker has no ids
  rd_kafka_resp_err_t error;
  std::string message;  // of the error
  std::vector<int32_t> operations;  // allowed to this user, as Kafka's AclOperation numbers; empty if not asked for
};

class TopicIdsRequest final : public AdminRequest {
 public:
  using AdminRequest::AdminRequest;

  // Asks this broker, because librdkafka's own choice, the controller, may be down while all others answer.
  void ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms,
           bool with_operations);

  const std::vector<TopicId>& topics() const { return topics_; }

 private:
  void read(rd_kafka_event_t* event) override;

  std::vector<TopicId> topics_;
};

}  // namespace pockaffe
