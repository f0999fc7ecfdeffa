// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <map>
#include <string>
#include <string_view>

#include "filigree/io/json.hpp"
#include "filigree/io/type.hpp"

namespace filigree {

/// The types of the tensors of a file by their names.
using TensorTypes = std::map<std::string, Type>;

namespace detail {

/// The floating-point type that torch calls so: "float32", or "torch.float32".
inline Type float_type(const JsonObject& json, std::string_view key, const std::string& fallback) {
  const std::string name = json.get<std::string>(key, fallback);
  for (const Type type : {Type::float16, Type::bfloat16, Type::float32, Type::float64})
    if (name == name_of(type) || name == "torch." + std::string(name_of(type))) return type;
  fail(json.name(), ": ", in_quotes(key), " must be \"float16\", \"bfloat16\", \"float32\" or \"float64\", is ",
       in_quotes(name));
}

/// A number from a file that must be positive, or not negative.
inline Index at_least(Index least, const JsonObject& json, std::string_view key, Index value) {
  require(value >= least, json.name(), ": ", in_quotes(key), " must be at least ", least, ", is ", value);
  return value;
}

/// The number of latents that are kept, from a file or as it is where the file has none.
inline Index kept_latents(const JsonObject& json, bool given, Index k, Index latents) {
  require(given || k <= latents, json.name(), ": must have a key \"k\": the default, ", k, ", is more than the ",
          latents, " latents");
  require(1 <= k && k <= latents, json.name(), ": \"k\" must be between 1 and ", latents,
          ", the number of latents, is ", k);
  return k;
}

/// What a file of this configuration must say: what it said when it was read, with new values for the keys that mean
/// something else now.
template <class Config>
JsonObject document_of(const Config& config, const std::string& call) {
  const JsonObject wanted = config.keys();
  JsonObject json = config.json;
  const bool fresh = !json.contains("d_in");
  const JsonObject before = fresh ? JsonObject() : Config::read(json).keys();
  for (const auto& entry : wanted)
    if (!before.contains(entry.first) || before.text(entry.first) != entry.second) json.set(entry);
  const JsonObject after = Config::read(json).keys();
  for (const auto& [key, value] : wanted)
    require(after.text(key) == value, call, ": config.", key, " is ", value,
            ", but the other keys of config.json make ", after.text(key), " of it");
  return json;
}

}  // namespace detail
}  // namespace filigree
