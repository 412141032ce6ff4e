#include "group_members_request.h"

namespace pockaffe {
namespace {

constexpr int32_t ANY_BROKER = -1;  // librdkafka asks the group's coordinator

std::string text_or_nothing(const char* text) { return text != nullptr ? text : ""; }

GroupMember member_of(const rd_kafka_MemberDescription_t* member) {
  GroupMember result{text_or_nothing(rd_kafka_MemberDescription_client_id(member)),
                     text_or_nothing(rd_kafka_MemberDescription_group_instance_id(member)),
                     text_or_nothing(rd_kafka_MemberDescription_consumer_id(member)),
                     text_or_nothing(rd_kafka_MemberDescription_host(member)),
                     {}};
  const rd_kafka_MemberAssignment_t* assignment = rd_kafka_MemberDescription_assignment(member);
  const rd_kafka_topic_partition_list_t* partitions =
      assignment != nullptr ? rd_kafka_MemberAssignment_partitions(assignment) : nullptr;
  for (int i = 0; partitions != nullptr && i < partitions->cnt; i++)
    result.partitions.emplace_back(partitions->elems[i].topic, partitions->elems[i].partition);
  return result;
}

}  // namespace

void GroupMembersRequest::ask(rd_kafka_t* client, const std::vector<std::string>& groups, int timeout_ms) {
  std::vector<const char*> names;
  for (const std::string& each : groups) names.push_back(each.c_str());
  rd_kafka_AdminOptions_t* options =
      begin(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, ANY_BROKER, timeout_ms);
  rd_kafka_DescribeConsumerGroups(client, names.data(), names.size(), options, queue());
  rd_kafka_AdminOptions_destroy(options);
}

void GroupMembersRequest::read(rd_kafka_event_t* event) {
  const rd_kafka_DescribeConsumerGroups_result_t* result = rd_kafka_event_DescribeConsumerGroups_result(event);
  if (result == nullptr) return;
  size_t count = 0;
  const rd_kafka_ConsumerGroupDescription_t** groups = rd_kafka_DescribeConsumerGroups_result_groups(result, &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t* failure = rd_kafka_ConsumerGroupDescription_error(groups[i]);
    const rd_kafka_resp_err_t error = failure != nullptr ? rd_kafka_error_code(failure) : RD_KAFKA_RESP_ERR_NO_ERROR;
    GroupMembers found{rd_kafka_ConsumerGroupDescription_group_id(groups[i]), error,
                       failure != nullptr ? words(rd_kafka_error_string(failure), error) : "",
                       rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[i])),
                       {}};
    const size_t members = rd_kafka_ConsumerGroupDescription_member_count(groups[i]);
    for (size_t each = 0; each < members; each++)
      found.members.push_back(member_of(rd_kafka_ConsumerGroupDescription_member(groups[i], each)));
    groups_.push_back(std::move(found));
  }
}

}  // namespace pockaffe
