// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <map>
#include <string>
#include <string_view>

#include "filigree/io/json.hpp"
#include "filigree/io/type.hpp"

namespace filigree {

/// The types of the tensors of a file, by name.
using TensorTypes = std::map<std::string, Type>;

namespace detail {

/// Returns the floating-point type of a key, which holds PyTorch's name of it: "float32" or "torch.float32".
inline Type float_type(const JsonObject& json, std::string_view key, const std::string& fallback) {
  const std::string name = json.get<std::string>(key, fallback);
  for (const Type type : {Type::float16, Type::bfloat16, Type::float32, Type::float64})
    if (name == name_of(type) || name == "torch." + std::string(name_of(type))) return type;
  fail(json.name(), ": ", in_quotes(key), " must be \"float16\", \"bfloat16\", \"float32\" or \"float64\", is ",
       in_quotes(name));
}

/// Returns a number from a file, after a check that it is at least `minimum`.
inline Index at_least(Index minimum, const JsonObject& json, std::string_view key, Index value) {
  require(value >= minimum, json.name(), ": ", in_quotes(key), " must be at least ", minimum, ", is ", value);
  return value;
}

/// Returns k, the number of active latents per sample, after a check. `given` is true if the file has a value for it.
inline Index kept_latents(const JsonObject& json, bool given, Index k, Index latents) {
  require(given || k <= latents, json.name(), ": must have a key \"k\": the default, ", k, ", is more than the ",
          latents, " latents");
  require(1 <= k && k <= latents, json.name(), ": \"k\" must be between 1 and ", latents,
          ", the number of latents, is ", k);
  return k;
}

/// Returns the JSON document of a configuration: the document that was read, with new values only for the keys whose
/// meaning has changed since.
template <class Config>
JsonObject document_of(const Config& config, const std::string& call) {
  const JsonObject expected = config.keys();
  JsonObject json = config.json;
  const bool is_new = !json.contains("d_in");
  const JsonObject before = is_new ? JsonObject() : Config::read(json).keys();
  for (const auto& entry : expected)
    if (!before.contains(entry.first) || before.text(entry.first) != entry.second) json.set(entry);
  const JsonObject after = Config::read(json).keys();
  for (const auto& [key, value] : expected)
    require(after.text(key) == value, call, ": config.", key, " is ", value,
            ", but the other keys of config.json set it to ", after.text(key));
  return json;
}

}  // namespace detail
}  // namespace filigree
