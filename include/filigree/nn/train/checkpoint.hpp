// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "filigree/io/npz.hpp"

namespace filigree {

/// The state of training between two steps. fit resumes from it with the same results as without an interruption.
template <Real S>
struct Checkpoint {
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using Flags = detail::Dependent<Eigen::Matrix<std::uint8_t, Eigen::Dynamic, 1>, S>;

  Vector parameters = {}, moments = {};  // of the network and of the optimizer
  Index steps = 0;
  Index epoch = 1;                               // current epoch, from 1
  Index first = 0;                               // number of its samples so far
  double sum = 0;                                // of the losses of these samples
  std::vector<double> losses = {};               // of the preceding epochs
  Flags active = {};                             // 1 for each latent that was not 0 in this epoch
  Index entries = 0;                             // number of nonzero codes in this epoch
  std::vector<Index> samples_since_active = {};  // for each latent, since it was last not 0
  Flags masks = {};                              // of weights, see masks.hpp; empty: no layer has a mask
  // A training that resumes must agree with the following members.
  std::uint64_t seed = 0;
  Index batch = 0, samples = 0;
  std::string stages = {}, objective = {}, optimizer = {}, data = {};  // see fingerprint.hpp

  /// Writes the checkpoint as an .npz file, which NumPy can read. The file is replaced atomically.
  ///
  /// Throws  Error if the file cannot be written; an existing file is then unchanged
  void save(const std::string& path) const {
    using Integers = detail::Dependent<Eigen::Matrix<std::int64_t, Eigen::Dynamic, 1>, S>;
    using Sums = detail::Dependent<Eigen::VectorXd, S>;
    Integers counters(8);
    counters << version, steps, epoch, first, entries, std::bit_cast<std::int64_t>(seed), batch, samples;
    Sums sums(1 + static_cast<Index>(losses.size()));
    sums << sum, Eigen::Map<const Sums>(losses.data(), static_cast<Index>(losses.size()));
    save_npz(path, {{"parameters", array_of(parameters)},
                    {"moments", array_of(moments)},
                    {"counters", array_of(counters)},
                    {"losses", array_of(sums)},
                    {"active", array_of(active)},
                    {"masks", array_of(masks)},
                    {"stages", array_of(bytes_of(stages))},
                    {"objective", array_of(bytes_of(objective))},
                    {"optimizer", array_of(bytes_of(optimizer))},
                    {"data", array_of(bytes_of(data))},
                    {"samples_since_active",
                     array_of(Eigen::Map<const Indices>(samples_since_active.data(),
                                                        static_cast<Index>(samples_since_active.size())))}});
  }

  /// Reads a checkpoint.
  ///
  /// Throws  Error if the file cannot be read or is not a checkpoint with parameters of type S
  static Checkpoint load(const std::string& path) {
    const Arrays arrays = load_npz(path);
    const auto field = [&](const char* name, Type type) -> const NdArray& {
      const NdArray& array = arrays[name];
      detail::require(array.type == type, array.name, ": must be ", name_of(type), ", is ", name_of(array.type));
      return array;
    };
    const auto counters =
        field("counters", Type::int64).template as<detail::Dependent<Eigen::Matrix<std::int64_t, 8, 1>, S>>();
    detail::require(counters[0] == version, path, ": is a checkpoint of version ", counters[0], ", must be of version ",
                    version);
    const auto sums = field("losses", Type::float64).template as<detail::Dependent<Eigen::VectorXd, S>>();
    detail::require(sums.size() >= 1, path, ": \"losses\" must hold at least one number");
    Checkpoint checkpoint;
    checkpoint.parameters = field("parameters", detail::type_of<S>()).template as<Vector>();
    checkpoint.moments = field("moments", detail::type_of<S>()).template as<Vector>();
    checkpoint.active = field("active", Type::uint8).template as<Flags>();
    checkpoint.masks = field("masks", Type::uint8).template as<Flags>();
    const auto text = [&](const char* name) { return std::string(field(name, Type::uint8).bytes.text()); };
    checkpoint.stages = text("stages");
    checkpoint.objective = text("objective");
    checkpoint.optimizer = text("optimizer");
    checkpoint.data = text("data");
    const auto inactive = field("samples_since_active", Type::int64).template as<Indices>();
    checkpoint.samples_since_active.assign(inactive.begin(), inactive.end());
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
  using Indices = detail::Dependent<Eigen::Matrix<Index, Eigen::Dynamic, 1>, S>;
  static constexpr std::int64_t version = 3;

  static auto bytes_of(const std::string& text) {
    return Eigen::Map<const Flags>(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<Index>(text.size()));
  }
};

}  // namespace filigree
