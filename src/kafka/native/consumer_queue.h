// The queue that a consumer of node-rdkafka's polls, polled past it: its messages come packed, and whatever else is in
// it (rebalances, results of commits, statistics) is served on the way by the callbacks that node-rdkafka set.
//
// Nobody else may consume from the client meanwhile. Librdkafka wants the queue released before the client is closed;
// where it isn't, the client's end waits for the poll that is under way and releases it. Knows nothing of Node.
#pragma once

#include <mutex>

#include "clients.h"
#include "packed_messages.h"

namespace pockaffe {

class ConsumerQueue final : public Dependent {
 public:
  // With the clients' mutex held.
  explicit ConsumerQueue(rd_kafka_t* client);
  // Without it.
  ~ConsumerQueue() override { release(); }
  ConsumerQueue(const ConsumerQueue&) = delete;
  ConsumerQueue& operator=(const ConsumerQueue&) = delete;

  // False where the client is no consumer.
  bool is_open() const { return queue_ != nullptr; }

  // Waits up to `timeout_ms` for something, then takes what is there: up to `count` messages, and as many as make
  // `most_bytes` full. On any thread, one at a time. The error __STATE where it was released.
  Polled poll(size_t count, int timeout_ms, size_t most_bytes);

  // Waits for a poll under way; those that come later bring an error. Without the clients' mutex.
  void release();

  void client_gone() override;

 private:
  void destroy_queue();

  std::mutex use_;  // held while the queue is used; may be waited for with the clients' mutex held, never the other way
  rd_kafka_queue_t* queue_;
};

}  // namespace pockaffe
