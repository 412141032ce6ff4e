// A request of librdkafka's Admin API, on a client that node-rdkafka made.
//
// No thread waits for the answer. The request has its own queue, and one of librdkafka's threads calls back when the
// answer is in it. A request ends once: with its answer (which may be a timeout), or when its client is destroyed. After
// that no other thread has a pointer to it. Knows nothing of Node.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "clients.h"

namespace pockaffe {

// Call everything with the clients' mutex held. Exception: `error`, `message` and the answer of a request that has ended.
class AdminRequest : public Dependent {
 public:
  // `wake` is called when the request may have ended: on any thread, with locks held. It must not call into this class.
  explicit AdminRequest(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~AdminRequest() override { end(); }
  AdminRequest(const AdminRequest&) = delete;
  AdminRequest& operator=(const AdminRequest&) = delete;

  // Reads the answer if it has come. False if it has not.
  bool has_ended();

  void client_gone() override;

  // Error of the whole request, e.g. a timeout; single topics and groups have their own.
  rd_kafka_resp_err_t error() const { return error_; }
  const std::string& message() const { return message_; }

 protected:
  // Makes the queue for the answer, and options with this timeout and broker (-1: librdkafka's choice). The caller
  // destroys the options.
  rd_kafka_AdminOptions_t* begin(rd_kafka_t* client, rd_kafka_admin_op_t operation, int32_t broker, int timeout_ms);

  rd_kafka_queue_t* queue() const { return queue_; }

  // Reads an answer without an error.
  virtual void read(rd_kafka_event_t* event) = 0;

 private:
  void end();

  const std::function<void()> wake_;
  rd_kafka_queue_t* queue_ = nullptr;  // null before `begin`, and once the request has ended
  rd_kafka_resp_err_t error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string message_;
};

// The message if there is one, else librdkafka's text for the code.
std::string words(const char* message, rd_kafka_resp_err_t error);

}  // namespace pockaffe
