// Finds the librdkafka clients that node-rdkafka made, by name, for as long as each lives.
//
// One shared library has two roles. Node loads it as an addon; librdkafka loads it as a plugin (`plugin.library.paths`)
// and calls `conf_init` for every configuration that names it. Both roles share these variables. node-rdkafka's own
// structures are not used.
//
// One mutex guards everything. Hold it whenever you use a client's handle, so that the client is not freed meanwhile.
// Never hold it in a call of Node that may collect garbage: the collector may destroy a client that nobody refers to any
// more, and that waits for a thread of the client, which waits for this mutex.
#pragma once

#include <librdkafka/rdkafka.h>

#include <mutex>
#include <string>

namespace pockaffe {

// Something that uses a client for longer than one call, and has to let go of it before the client is freed.
class Dependent {
 public:
  virtual ~Dependent() = default;
  // The client is about to be freed. Called once, with the mutex held, on a thread of librdkafka's or Node's. The
  // dependent is no longer registered, and must destroy what it has of librdkafka's.
  virtual void client_gone() = 0;
};

std::mutex& clients_mutex();

// Call the functions below with the mutex held. A handle is valid only as long as you hold it.

// The client with this name. Null if there is none, if it is still being made, or if two have the same name (librdkafka
// cuts names at 127 bytes).
rd_kafka_t* find_client(const std::string& name);

// Until `remove_dependent`, `client_gone` of the dependent is called when the client is destroyed.
void add_dependent(rd_kafka_t* client, Dependent* dependent);
void remove_dependent(Dependent* dependent);

// How many clients live, and how many dependents they have. For tests.
struct Counts {
  size_t clients;
  size_t dependents;
};
Counts counts();

}  // namespace pockaffe
