#include "packed_messages.h"

#include <cstring>
#include <map>
#include <utility>

namespace pockaffe {
namespace {

constexpr int32_t kNull = -1;
constexpr size_t kArrayBytes = 2 * sizeof(double) + 4 * sizeof(int32_t) + 1;  // per message

Memory allocate(size_t size) {
  auto* memory = static_cast<uint8_t*>(std::malloc(size > 0 ? size : 1));
  // Messages that were taken from librdkafka can't be given back, and going on without them would lose them.
  if (memory == nullptr) std::abort();
  return Memory(memory);
}

struct HeaderView {
  const char* name;
  const void* value;  // null if the header has no value
  size_t size;
};

// False after the last header.
bool header_at(const rd_kafka_headers_t* headers, size_t index, HeaderView* header) {
  return rd_kafka_header_get_all(headers, index, &header->name, &header->value, &header->size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

// Null if the message has no headers.
rd_kafka_headers_t* headers_of(const rd_kafka_message_t* message) {
  rd_kafka_headers_t* headers = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_message_headers(message, &headers);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR && rd_kafka_header_cnt(headers) > 0 ? headers : nullptr;
}

size_t size_of(const rd_kafka_headers_t* headers) {
  size_t size = sizeof(int32_t);
  HeaderView header;
  for (size_t i = 0; header_at(headers, i, &header); i++)
    size += 2 * sizeof(int32_t) + std::strlen(header.name) + (header.value != nullptr ? header.size : 0);
  return size;
}

uint8_t* write(uint8_t* at, const void* data, size_t size) {
  if (size > 0) std::memcpy(at, data, size);
  return at + size;
}

// Little-endian, like all machines that this is built for.
uint8_t* write(uint8_t* at, int32_t number) { return write(at, &number, sizeof number); }

uint8_t* write(uint8_t* at, const rd_kafka_headers_t* headers) {
  at = write(at, static_cast<int32_t>(rd_kafka_header_cnt(headers)));
  HeaderView header;
  for (size_t i = 0; header_at(headers, i, &header); i++) {
    const size_t name_size = std::strlen(header.name);
    at = write(at, static_cast<int32_t>(name_size));
    at = write(at, header.name, name_size);
    at = write(at, header.value != nullptr ? static_cast<int32_t>(header.size) : kNull);
    if (header.value != nullptr) at = write(at, header.value, header.size);
  }
  return at;
}

// The messages of one partition, and the bytes they take.
struct Group {
  std::vector<rd_kafka_message_t*> messages;
  std::vector<rd_kafka_headers_t*> headers;
  size_t size = 0;

  void add(rd_kafka_message_t* message) {
    messages.push_back(message);
    headers.push_back(headers_of(message));
    size += packed_size(message);
  }
};

PackedPartition pack(const Group& group) {
  const size_t length = group.messages.size();
  const rd_kafka_message_t* first = group.messages.front();
  PackedPartition packed{rd_kafka_topic_name(first->rkt), first->partition,     length, allocate(length * kArrayBytes),
                         length * kArrayBytes,            allocate(group.size), group.size};
  auto* offsets = reinterpret_cast<double*>(packed.arrays.get());
  double* timestamps = offsets + length;
  auto* starts = reinterpret_cast<int32_t*>(timestamps + length);
  int32_t* lengths = starts + length;
  auto* types = reinterpret_cast<uint8_t*>(lengths + 3 * length);
  uint8_t* at = packed.bytes.get();
  for (size_t i = 0; i < length; i++) {
    const rd_kafka_message_t* message = group.messages[i];
    rd_kafka_timestamp_type_t type;
    offsets[i] = static_cast<double>(message->offset);
    timestamps[i] = static_cast<double>(rd_kafka_message_timestamp(message, &type));
    types[i] = static_cast<uint8_t>(type);
    starts[i] = static_cast<int32_t>(at - packed.bytes.get());
    lengths[3 * i] = message->key != nullptr ? static_cast<int32_t>(message->key_len) : kNull;
    lengths[3 * i + 1] = message->payload != nullptr ? static_cast<int32_t>(message->len) : kNull;
    at = write(at, message->key, message->key_len);
    at = write(at, message->payload, message->len);
    const uint8_t* headers = at;
    if (group.headers[i] != nullptr) at = write(at, group.headers[i]);
    lengths[3 * i + 2] = static_cast<int32_t>(at - headers);
  }
  return packed;
}

}  // namespace

size_t packed_size(const rd_kafka_message_t* message) {
  const rd_kafka_headers_t* headers = headers_of(message);
  return message->key_len + message->len + (headers != nullptr ? size_of(headers) : 0);
}

Polled pack(const std::vector<rd_kafka_message_t*>& messages) {
  using Place = std::pair<const rd_kafka_topic_t*, int32_t>;
  Polled polled;
  std::map<Place, Group> groups;
  Place last_place{nullptr, -1};
  Group* last = nullptr;
  for (rd_kafka_message_t* message : messages) {
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      polled.ends.push_back({rd_kafka_topic_name(message->rkt), message->partition, message->offset});
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      polled.errors.push_back(message->err);
    } else {
      const Place place{message->rkt, message->partition};
      if (last == nullptr || place != last_place) last = &groups[place];
      last_place = place;
      last->add(message);
    }
  }
  for (const auto& [place, group] : groups) polled.partitions.push_back(pack(group));
  for (rd_kafka_message_t* message : messages) rd_kafka_message_destroy(message);
  return polled;
}

}  // namespace pockaffe
