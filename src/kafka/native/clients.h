// The librdkafka clients that node-rdkafka made, by name, for as long as each lives.
//
// One shared object is two things: Node loads it as an addon, librdkafka loads it as a plugin (`plugin.library.paths`) and calls `conf_init` for every
// configuration that names it. Both see the same variables. Nothing of node-rdkafka's own structures is used.
#pragma once

#include <rdkafka.h>

#include <list>
#include <mutex>
#include <string>

namespace pockaffe {

// What hangs on a client and must be gone before it is. Both calls come under `clients_mutex()`.
class Dependent {
 public:
  virtual ~Dependent() = default;
  // The client is about to be freed: on whatever thread closes it. Gives back what it has of librdkafka's.
  virtual void client_gone() = 0;
};

// Held for every use of a client's handle, so that none is freed meanwhile.
std::mutex& clients_mutex();

// The client of this name, or null. The handle is valid while the mutex is held.
rd_kafka_t* find_client(const std::string& name);

// From here on `dependent` is told that the client goes. Until `remove_dependent`, which comes before it is deleted.
void add_dependent(rd_kafka_t* client, Dependent* dependent);
void remove_dependent(Dependent* dependent);

// Clients that live, and what hangs on them: for tests.
struct Counts {
  size_t clients;
  size_t dependents;
};
Counts counts();

}  // namespace pockaffe
