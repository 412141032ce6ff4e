// A question to Kafka by librdkafka's admin functions, on a client that node-rdkafka made.
//
// No thread waits for the answer. The request has a queue of its own; librdkafka says on one of its threads that
// something is in it. A request ends once, by one of two: its answer (which may be its timeout), or its client's end.
// From then on no other thread knows of it. Knows nothing of Node.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "clients.h"

namespace pockaffe {

// All of it is called with the clients' mutex held, but for `error`, `message` and the answer once it has ended.
class AdminRequest : public Dependent {
 public:
  // `wake` is called, on any thread and under locks, when it may have ended. It must not call back.
  explicit AdminRequest(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~AdminRequest() override { end(); }
  AdminRequest(const AdminRequest&) = delete;
  AdminRequest& operator=(const AdminRequest&) = delete;

  // Reads the answer where there is one.
  bool has_ended();

  void client_gone() override;

  // Of the request as a whole.
  rd_kafka_resp_err_t error() const { return error_; }
  const std::string& message() const { return message_; }

 protected:
  // The queue for the answer, and options with this broker (-1: the controller) and timeout; the caller destroys them.
  rd_kafka_AdminOptions_t* begin(rd_kafka_t* client, rd_kafka_admin_op_t operation, int32_t broker, int timeout_ms);

  rd_kafka_queue_t* queue() const { return queue_; }

  // Of an answer that is no error.
  virtual void read(rd_kafka_event_t* event) = 0;

 private:
  void end();

  const std::function<void()> wake_;
  rd_kafka_queue_t* queue_ = nullptr;  // null before it was asked, and once it has ended
  rd_kafka_resp_err_t error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string message_;
};

// librdkafka's words for an error; its own for the code where it has none.
std::string words(const char* message, rd_kafka_resp_err_t error);

}  // namespace pockaffe
