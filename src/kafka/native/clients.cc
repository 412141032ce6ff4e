#include "clients.h"

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

namespace pockaffe {
namespace {

struct Client {
  rd_kafka_t* handle;
  std::string name;  // empty while the client is being made
  std::vector<Dependent*> dependents;
};

// Never destroyed, because librdkafka's threads may still run after `main` has returned.
std::mutex& mutex = *new std::mutex;
std::list<Client>& clients = *new std::list<Client>;

std::list<Client>::iterator find(rd_kafka_t* handle) {
  return std::find_if(clients.begin(), clients.end(), [&](const Client& each) { return each.handle == handle; });
}

// Called at the beginning of `rd_kafka_destroy`, on the client's main thread; or by `rd_kafka_new` when it fails.
rd_kafka_resp_err_t on_destroy(rd_kafka_t* handle, void*) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto client = find(handle);
  if (client == clients.end()) return RD_KAFKA_RESP_ERR_NO_ERROR;
  const std::vector<Dependent*> dependents = std::move(client->dependents);
  clients.erase(client);
  for (Dependent* each : dependents) each->client_gone();
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

// The client has its name only now. `rd_kafka_new` waits for this thread, so whoever learns the name finds the client.
rd_kafka_resp_err_t on_thread_start(rd_kafka_t* handle, rd_kafka_thread_type_t type, const char*, void*) {
  if (type != RD_KAFKA_THREAD_MAIN) return RD_KAFKA_RESP_ERR_NO_ERROR;
  std::lock_guard<std::mutex> lock(mutex);
  const auto client = find(handle);
  if (client != clients.end()) client->name = rd_kafka_name(handle);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t on_new(rd_kafka_t* handle, const rd_kafka_conf_t*, void*, char*, size_t) {
  std::lock_guard<std::mutex> lock(mutex);
  clients.push_back({handle, {}, {}});
  const rd_kafka_resp_err_t error = rd_kafka_interceptor_add_on_destroy(handle, "pockaffe", on_destroy, nullptr);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
    return rd_kafka_interceptor_add_on_thread_start(handle, "pockaffe", on_thread_start, nullptr);
  // Nothing would report its end.
  clients.pop_back();
  return error;
}

}  // namespace

std::mutex& clients_mutex() { return mutex; }

rd_kafka_t* find_client(const std::string& name) {
  rd_kafka_t* found = nullptr;
  if (name.empty()) return found;
  for (const Client& each : clients) {
    if (each.name != name) continue;
    if (found != nullptr) return nullptr;
    found = each.handle;
  }
  return found;
}

void add_dependent(rd_kafka_t* client, Dependent* dependent) { find(client)->dependents.push_back(dependent); }

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

// librdkafka calls this in each plugin.
extern "C" __attribute__((visibility("default"))) rd_kafka_resp_err_t conf_init(rd_kafka_conf_t* conf, void**, char*,
                                                                               size_t) {
  return rd_kafka_conf_interceptor_add_on_new(conf, "pockaffe", pockaffe::on_new, nullptr);
}
