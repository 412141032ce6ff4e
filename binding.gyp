# The addon beside node-rdkafka (src/kafka/native): what it is for and what goes wrong is told in binding.gyp-notes.md.
{
  "variables": {
    "node_rdkafka": "<!(node -p \"require('path').dirname(require.resolve('node-rdkafka/package.json'))\")"
  },
  "targets": [
    {
      "target_name": "pockaffe_native",
      "sources": [
        "src/kafka/native/addon.cc",
        "src/kafka/native/admin_request.cc",
        "src/kafka/native/clients.cc",
        "src/kafka/native/consumer_calls.cc",
        "src/kafka/native/consumer_queue.cc",
        "src/kafka/native/packed_messages.cc",
        "src/kafka/native/group_members_request.cc", "src/kafka/native/topic_ids_request.cc",
        "src/kafka/native/topic_settings_request.cc"
      ],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-fvisibility=hidden", "-isystem", "<(node_rdkafka)/build/deps/include"],
      "conditions": [
        ["OS=='linux'", {
          "libraries": ["<(node_rdkafka)/build/deps/librdkafka.so", "-Wl,-rpath,<(node_rdkafka)/build/deps"]
        }],
        ["OS=='mac'", {
          "libraries": ["<(node_rdkafka)/build/deps/librdkafka.dylib", "-Wl,-rpath,<(node_rdkafka)/build/deps"],
          "xcode_settings": {
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "OTHER_CFLAGS": ["-Wall", "-Wextra", "-isystem", "<(node_rdkafka)/build/deps/include"]
          }
        }]
      ]
    }
  ]
}
