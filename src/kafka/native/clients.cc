#include "clients.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace pockaffe {
namespace {

struct Client {
  rd_kafka_t* handle;
  std::vector<Dependent*> dependents;
};

// Never destroyed: librdkafka's threads may outlive the end of `main`.
std::mutex& mutex = *new std::mutex;
std::list<Client>& clients = *new std::list<Client>;

std::list<Client>::iterator find(rd_kafka_t* handle) {
  return std::find_if(clients.begin(), clients.end(), [&](const Client& each) { return each.handle == handle; });
}

// Called last of all, when the client's threads have ended and just before it is freed.
rd_kafka_resp_err_t on_destroy(rd_kafka_t* handle, void*) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto client = find(handle);
  if (client == clients.end()) return RD_KAFKA_RESP_ERR_NO_ERROR;
  for (Dependent* each : client->dependents) each->client_gone();
  clients.erase(client);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

// The client has no name yet, so it is looked up by the name it will have.
rd_kafka_resp_err_t on_new(rd_kafka_t* handle, const rd_kafka_conf_t*, void*, char*, size_t) {
  std::lock_guard<std::mutex> lock(mutex);
  clients.push_back({handle, {}});
  return rd_kafka_interceptor_add_on_destroy(handle, "pockaffe", on_destroy, nullptr);
}

}  // namespace

std::mutex& clients_mutex() { return mutex; }

rd_kafka_t* find_client(const std::string& name) {
  for (const Client& each : clients) {
    if (name == rd_kafka_name(each.handle)) return each.handle;
  }
  return nullptr;
}

void add_dependent(rd_kafka_t* handle, Dependent* dependent) { find(handle)->dependents.push_back(dependent); }

void remove_dependent(Dependent* dependent) {
  for (Client& each : clients) {
    auto& all = each.dependents;
    all.erase(std::remove(all.begin(), all.end(), dependent), all.end());
  }
}

Counts counts() {
  Counts result{clients.size(), 0};
  for (const Client& each : clients) result.dependents += each.dependents.size();
  return result;
}

}  // namespace pockaffe

// librdkafka's entry into a plugin.
extern "C" __attribute__((visibility("default"))) rd_kafka_resp_err_t conf_init(rd_kafka_conf_t* conf, void**, char*, size_t) {
  return rd_kafka_conf_interceptor_add_on_new(conf, "pockaffe", pockaffe::on_new, nullptr);
}
