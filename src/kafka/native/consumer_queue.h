// Polls the queue of a consumer that node-rdkafka made, without node-rdkafka, and packs the messages. Other events in the
// queue (rebalances, results of commits, statistics) go to the callbacks that node-rdkafka set.
//
// Nobody else may consume from the client meanwhile. librdkafka wants the queue released before the client is closed. If
// it was not, the client's destruction waits for the poll under way and releases the queue. Knows nothing of Node.
#pragma once

#include <mutex>

#include "clients.h"
#include "packed_messages.h"

namespace pockaffe {

class ConsumerQueue final : public Dependent {
 public:
  // Call it with the clients' mutex held.
  explicit ConsumerQueue(rd_kafka_t* client);
  // Call it without the clients' mutex.
  ~ConsumerQueue() override { release(); }
  ConsumerQueue(const ConsumerQueue&) = delete;
  ConsumerQueue& operator=(const ConsumerQueue&) = delete;

  // False if the client is not a consumer, or the queue was released.
  bool is_open() const { return queue_ != nullptr; }

  // Waits up to `timeout_ms` for the first message or event, then takes what is there: up to `count` messages, until they
  // reach `most_bytes` (the last may exceed it). On any thread; a second poll waits for the first. Brings the error
  // __STATE if the queue was released.
  Polled poll(size_t count, int timeout_ms, size_t most_bytes);

  // Ends the wait of the poll under way, or of the next poll if there is none. No message is lost. On any thread.
  void wake();

  // Waits for a poll under way; later polls bring an error. Call it without the clients' mutex.
  void release();

  void client_gone() override;

 private:
  void destroy_queue();

  std::mutex use_;  // held while the queue is used. Order: the clients' mutex first, then this one
  rd_kafka_queue_t* queue_;
};

}  // namespace pockaffe
