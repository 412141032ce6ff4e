// Makes and reads JavaScript values. A value that can't be made is null: the JavaScript thread may be terminated during a
// call, and every later call of Node-API then fails.
#pragma once

#include <node_api.h>

#include <string>

namespace pockaffe {

// False if the JavaScript thread is ending.
inline bool set(napi_env env, napi_value object, const char* name, napi_value value) {
  return napi_set_named_property(env, object, name, value) == napi_ok;
}

inline napi_value object(napi_env env) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  return result;
}

inline napi_value number(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}

inline napi_value text(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

// Empty if the value is not a string.
inline std::string text_of(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return "";
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

inline napi_value function(napi_env env, const char* name, napi_callback call, void* data) {
  napi_value result = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, data, &result);
  return result;
}

}  // namespace pockaffe
