// The members of consumer groups and their partitions: librdkafka's DescribeConsumerGroups.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "admin_request.h"

namespace pockaffe {

struct GroupMember {
  std::string client_id;
  std::string instance_id;  // empty if it is a dynamic member
  std::string member_id;
  std::string host;
  std::vector<std::pair<std::string, int32_t>> partitions;
};

struct GroupMembers {
  std::string group;
  rd_kafka_resp_err_t error;  // e.g. no right to describe the group
  std::string message;  // of the error
  std::string state;  // Kafka's name: Stable, Empty, Dead, ...
  std::vector<GroupMember> members;
};

class GroupMembersRequest final : public AdminRequest {
 public:
  using AdminRequest::AdminRequest;

  void ask(rd_kafka_t* client, const std::vector<std::string>& groups, int timeout_ms);

  const std::vector<GroupMembers>& groups() const { return groups_; }

 private:
  void read(rd_kafka_event_t* event) override;

  std::vector<GroupMembers> groups_;
};

}  // namespace pockaffe
