// The librdkafka clients that node-rdkafka made, by name, for as long as each lives.
//
// One shared object is two things: Node loads it as an addon, librdkafka loads it as a plugin (`plugin.library.paths`)
// and calls `conf_init` for every configuration that names it. Both see the same variables. Nothing of node-rdkafka's
// own structures is used.
//
// One mutex guards all of it. It is held for every use of a client's handle, so that none is freed meanwhile. It is
// never held while Node is called in a way that can collect garbage: the collector may destroy a client that
// node-rdkafka's user forgot, and would wait for a thread that waits for this mutex.
#pragma once

#include <librdkafka/rdkafka.h>

#include <mutex>
#include <string>

namespace pockaffe {

// What uses a client beyond one call, and has to let go of it before it is freed.
class Dependent {
 public:
  virtual ~Dependent() = default;
  // The client is about to be freed. Called with the mutex held, on whatever thread ends the client. Afterwards the
  // dependent is not registered any more, and has nothing of librdkafka's.
  virtual void client_gone() = 0;
};

std::mutex& clients_mutex();

// The rest is called with the mutex held, and a handle is valid while it is.

// The client of this name; null where there is none, where it is still being made, and where two have the same name
// (librdkafka cuts names at 127 bytes).
rd_kafka_t* find_client(const std::string& name);

// From here on `dependent` is told that the client goes; until `remove_dependent`.
void add_dependent(rd_kafka_t* client, Dependent* dependent);
void remove_dependent(Dependent* dependent);

// Clients that live, and what hangs on them: for tests.
struct Counts {
  size_t clients;
  size_t dependents;
};
Counts counts();

}  // namespace pockaffe
