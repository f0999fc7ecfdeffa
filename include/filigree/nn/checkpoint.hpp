// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "filigree/io/npz.hpp"

namespace filigree {

/// Training between two steps: what fit needs to go on as if it had never stopped.
template <Real S>
struct Checkpoint {
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using Flags = detail::Later<Eigen::Matrix<std::uint8_t, Eigen::Dynamic, 1>, S>;

  Vector parameters = {}, moments = {};  // of the network and of the optimizer
  Index steps = 0;
  Index epoch = 1;                               // that is under way
  Index first = 0;                               // how many samples it has met
  double sum = 0;                                // of their losses
  std::vector<double> losses = {};               // of the epochs before it
  Flags active = {};                             // latents that were, in this epoch
  Index entries = 0;                             // of its codes that were not 0
  std::vector<Index> samples_since_active = {};  // samples since each latent was not 0
  // What cannot change when it goes on.
  std::uint64_t seed = 0;
  Index batch = 0, samples = 0;
  std::string stages = {}, objective = {}, optimizer = {}, data = {};  // as fingerprint.hpp writes them

  /// Writes it, all or nothing, as an .npz file that numpy reads too.
  ///
  /// Throws  Error if the file cannot be written; an old one stays
  void save(const std::string& path) const {
    using Integers = detail::Later<Eigen::Matrix<std::int64_t, Eigen::Dynamic, 1>, S>;
    using Sums = detail::Later<Eigen::VectorXd, S>;
    Integers counters(8);
    counters << version, steps, epoch, first, entries, std::bit_cast<std::int64_t>(seed), batch, samples;
    Sums sums(1 + static_cast<Index>(losses.size()));
    sums << sum, Eigen::Map<const Sums>(losses.data(), static_cast<Index>(losses.size()));
    save_npz(path, {{"parameters", array_of(parameters)},
                    {"moments", array_of(moments)},
                    {"counters", array_of(counters)},
                    {"losses", array_of(sums)},
                    {"active", array_of(active)},
                    {"stages", array_of(bytes_of(stages))},
                    {"objective", array_of(bytes_of(objective))},
                    {"optimizer", array_of(bytes_of(optimizer))},
                    {"data", array_of(bytes_of(data))},
                    {"samples_since_active",
                     array_of(Eigen::Map<const Indices>(samples_since_active.data(),
                                                        static_cast<Index>(samples_since_active.size())))}});
  }

  /// Reads one.
  ///
  /// Throws  Error if the file cannot be read or is none of these
  static Checkpoint load(const std::string& path) {
    const Arrays arrays = load_npz(path);
    const auto wanted = [&](const char* name, Type type) -> const NdArray& {
      const NdArray& array = arrays[name];
      detail::require(array.type == type, array.name, ": must be ", name_of(type), ", is ", name_of(array.type));
      return array;
    };
    const auto counters =
        wanted("counters", Type::int64).template as<detail::Later<Eigen::Matrix<std::int64_t, 8, 1>, S>>();
    detail::require(counters[0] == version, path, ": is a checkpoint of version ", counters[0], ", must be of version ",
                    version);
    const auto sums = wanted("losses", Type::float64).template as<detail::Later<Eigen::VectorXd, S>>();
    detail::require(sums.size() >= 1, path, ": \"losses\" must hold a number at least");
    Checkpoint checkpoint;
    checkpoint.parameters = wanted("parameters", detail::type_of<S>()).template as<Vector>();
    checkpoint.moments = wanted("moments", detail::type_of<S>()).template as<Vector>();
    checkpoint.active = wanted("active", Type::uint8).template as<Flags>();
    const auto text = [&](const char* name) { return std::string(wanted(name, Type::uint8).bytes.text()); };
    checkpoint.stages = text("stages");
    checkpoint.objective = text("objective");
    checkpoint.optimizer = text("optimizer");
    checkpoint.data = text("data");
    const auto idle = wanted("samples_since_active", Type::int64).template as<Indices>();
    checkpoint.samples_since_active.assign(idle.begin(), idle.end());
    checkpoint.steps = counters[1];
    checkpoint.epoch = counters[2];
    checkpoint.first = counters[3];
    checkpoint.entries = counters[4];
    checkpoint.seed = std::bit_cast<std::uint64_t>(counters[5]);
    checkpoint.batch = counters[6];
    checkpoint.samples = counters[7];
    checkpoint.sum = sums[0];
    checkpoint.losses.assign(sums.begin() + 1, sums.end());
    return checkpoint;
  }

 private:
  using Indices = detail::Later<Eigen::Matrix<Index, Eigen::Dynamic, 1>, S>;
  static constexpr std::int64_t version = 2;

  static auto bytes_of(const std::string& text) {
    return Eigen::Map<const Flags>(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<Index>(text.size()));
  }
};

}  // namespace filigree
