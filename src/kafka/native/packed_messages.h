// Packs the messages of a poll: two pieces of memory per partition, laid out as src/core/messages/packed-batch.ts says.
// Knows librdkafka's messages, and nothing of Node.
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
  // For each message: offset and timestamp (double), start in `bytes` (int32), lengths of key, value and headers (three
  // int32; -1: null), type of the timestamp (a byte). First all offsets, then all timestamps, and so on.
  Memory arrays;
  size_t arrays_size;
  // Key, value and headers of each message, one after another.
  Memory bytes;
  size_t bytes_size;
};

// A partition that was read to its end. `offset`: the next one that will be written to it.
struct PartitionEnd {
  std::string topic;
  int32_t partition;
  int64_t offset;
};

// The result of one poll.
struct Polled {
  std::vector<PackedPartition> partitions;
  std::vector<PartitionEnd> ends;
  std::vector<rd_kafka_resp_err_t> errors;
};

// Bytes that a message takes in `bytes`: key, value and headers.
size_t packed_size(const rd_kafka_message_t* message);

// Groups the messages by partition, keeping the order within each, and packs them. Destroys the messages.
Polled pack(const std::vector<rd_kafka_message_t*>& messages);

}  // namespace pockaffe
