#include "admin_request.h"

namespace pockaffe {

std::string words(const char* message, rd_kafka_resp_err_t error) {
  return message != nullptr ? message : rd_kafka_err2str(error);
}

rd_kafka_AdminOptions_t* AdminRequest::begin(rd_kafka_t* client, rd_kafka_admin_op_t operation, int32_t broker,
                                             int timeout_ms) {
  queue_ = rd_kafka_queue_new(client);
  add_dependent(client, this);
  // librdkafka calls this with the queue's lock held, so it is never called after `end` has removed it.
  rd_kafka_queue_cb_event_enable(
      queue_, [](rd_kafka_t*, void* self) { static_cast<AdminRequest*>(self)->wake_(); }, this);
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client, operation);
  char refusal[256];
  rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, refusal, sizeof refusal);
  rd_kafka_AdminOptions_set_broker(options, broker, refusal, sizeof refusal);
  return options;
}

bool AdminRequest::has_ended() {
  if (queue_ == nullptr) return true;
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, 0);
  if (event == nullptr) return false;
  error_ = rd_kafka_event_error(event);
  if (error_ == RD_KAFKA_RESP_ERR_NO_ERROR) {
    read(event);
  } else {
    message_ = words(rd_kafka_event_error_string(event), error_);
  }
  rd_kafka_event_destroy(event);
  end();
  return true;
}

void AdminRequest::client_gone() {
  error_ = RD_KAFKA_RESP_ERR__DESTROY;
  message_ = "the client was closed";
  end();
  wake_();
}

void AdminRequest::end() {
  if (queue_ == nullptr) return;
  remove_dependent(this);
  rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
  rd_kafka_queue_destroy(queue_);
  queue_ = nullptr;
}

}  // namespace pockaffe
