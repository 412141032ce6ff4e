// Messages of a poll, packed: those of each partition in two pieces of memory, laid out as src/core/messages/packed-batch.ts
// says. Knows librdkafka's messages, and nothing of Node.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace pockaffe {

struct Freed {
  void operator()(uint8_t* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<uint8_t, Freed>;

struct PackedPartition {
  std::string topic;
  int32_t partition;
  size_t length;
  // Offsets and timestamps (doubles), starts (int32), lengths (three int32 each), types of timestamps (a byte each).
  Memory arrays;
  size_t arrays_size;
  Memory bytes;
  size_t bytes_size;
};

// The next offset that will be written, where a partition was read to its end.
struct PartitionEnd {
  std::string topic;
  int32_t partition;
  int64_t offset;
};

// What one poll brought.
struct Polled {
  std::vector<PackedPartition> partitions;
  std::vector<PartitionEnd> ends;
  std::vector<rd_kafka_resp_err_t> errors;
};

// What a message takes: key, value and headers.
size_t packed_size(const rd_kafka_message_t* message);

// Sorts by partition, each partition's in the order given, and packs. Frees the messages.
Polled pack(const std::vector<rd_kafka_message_t*>& messages);

}  // namespace pockaffe
