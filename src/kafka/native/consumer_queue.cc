#include "consumer_queue.h"

namespace pockaffe {

ConsumerQueue::ConsumerQueue(rd_kafka_t* client) : queue_(rd_kafka_queue_get_consumer(client)) {
  if (queue_ != nullptr) add_dependent(client, this);
}

Polled ConsumerQueue::poll(size_t count, int timeout_ms, size_t most_bytes) {
  std::lock_guard<std::mutex> lock(use_);
  if (queue_ == nullptr) {
    Polled released;
    released.errors.push_back(RD_KAFKA_RESP_ERR__STATE);
    return released;
  }
  std::vector<rd_kafka_message_t*> messages;
  size_t bytes = 0;
  // One by one. librdkafka's batch call (2.12) counts the end of a partition as a message. After a pause, as in every
  // rebalance, the consumer would then skip the message at that offset.
  while (messages.size() < count && bytes < most_bytes) {
    rd_kafka_message_t* message = rd_kafka_consume_queue(queue_, messages.empty() ? timeout_ms : 0);
    if (message == nullptr) break;
    messages.push_back(message);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
      bytes += packed_size(message);
    else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
      break;  // messages after an error must not overtake it
  }
  return pack(messages);
}

void ConsumerQueue::wake() {
  // Not `use_`: the poll holds it. Whoever destroys the queue holds the clients' mutex too.
  std::lock_guard<std::mutex> clients(clients_mutex());
  if (queue_ != nullptr) rd_kafka_queue_yield(queue_);
}

void ConsumerQueue::release() {
  std::lock_guard<std::mutex> clients(clients_mutex());
  remove_dependent(this);
  std::lock_guard<std::mutex> lock(use_);
  destroy_queue();
}

void ConsumerQueue::client_gone() {
  std::lock_guard<std::mutex> lock(use_);
  destroy_queue();
}

void ConsumerQueue::destroy_queue() {
  if (queue_ != nullptr) rd_kafka_queue_destroy(queue_);
  queue_ = nullptr;
}

}  // namespace pockaffe
