// One question to Kafka: the ids (KIP-516) of topics, and what this user may do with them where that is asked, by
// librdkafka's DescribeTopics on a client that node-rdkafka made.
//
// No thread waits for the answer. The request has a queue of its own; librdkafka says on one of its threads that
// something is in it. A request ends once, by one of two: its answer (which may be its timeout), or its client's end.
// From then on no other thread knows of it. Knows nothing of Node.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "clients.h"

namespace pockaffe {

struct TopicId {
  std::string topic;
  std::string id;  // as librdkafka writes it (base64 without padding); empty: the broker has none
  rd_kafka_resp_err_t error;
  std::string message;  // of the error
  std::vector<int32_t> operations;  // that this user may do, by Kafka's numbers (AclOperation); empty where it was not asked
};

struct TopicIdsAnswer {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;  // of the request as a whole
  std::string message;
  std::vector<TopicId> topics;
};

// All of it is called with the clients' mutex held, but for `answer` once it has ended.
class TopicIdsRequest final : public Dependent {
 public:
  // `wake` is called, on any thread and under locks, when it may have ended. It must not call back.
  explicit TopicIdsRequest(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~TopicIdsRequest() override { end(); }
  TopicIdsRequest(const TopicIdsRequest&) = delete;
  TopicIdsRequest& operator=(const TopicIdsRequest&) = delete;

  // Asks this broker. The controller, librdkafka's own choice, may be away while all others answer.
  void ask(rd_kafka_t* client, int32_t broker, const std::vector<std::string>& topics, int timeout_ms,
           bool with_operations);

  // Reads the answer where there is one.
  bool has_ended();

  const TopicIdsAnswer& answer() const { return answer_; }

  void client_gone() override;

 private:
  void end();
  void read(rd_kafka_event_t* event);

  const std::function<void()> wake_;
  rd_kafka_queue_t* queue_ = nullptr;  // null before it was asked, and once it has ended
  TopicIdsAnswer answer_;
};

}  // namespace pockaffe
