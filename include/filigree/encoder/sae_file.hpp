// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "filigree/encoder/sae_config.hpp"
#include "filigree/encoder/sae_weights.hpp"
#include "filigree/io/json.hpp"
#include "filigree/io/safetensors.hpp"

namespace filigree {

/// The configuration and weights of an autoencoder in a directory:
/// const auto [config, weights] = load_sae_lens("layer_12").
template <class Config, Real S>
struct SaeFile {
  Config config;
  SaeWeights<S> weights;
};

namespace detail {

/// Copies tensors of a file into weights: read("W_enc", weights.W_enc, rows, cols). The file may hold the transpose.
/// Records which tensors were read.
class TensorReader {
 public:
  TensorReader(const std::string& path, const std::string& config) : tensors_(map_safetensors(path)), config_(config) {}

  [[nodiscard]] const NdArray& operator[](const std::string& name) const { return tensors_[name]; }

  template <class M>
  void operator()(const std::string& name, M& matrix, Index rows, Index cols, bool transposed = false) {
    const NdArray& stored = tensors_[name];
    using Shape = std::vector<Index>;
    const Shape shape = M::IsVectorAtCompileTime ? Shape{rows} : transposed ? Shape{cols, rows} : Shape{rows, cols};
    require(stored.shape == shape, stored.name, ": must have shape ", shape_text(shape), " by ", config_, ", has ",
            shape_text(stored.shape));
    require(stored.type >= Type::float16, stored.name, ": must be floating point, is ", name_of(stored.type));
    taken_.insert(name);
    matrix = stored.as<M>();
    if constexpr (!M::IsVectorAtCompileTime)
      if (transposed) matrix = M(matrix.transpose());
  }

  /// Reads factors of the latents, which need not exist, and checks that they are 1.
  void ones(const std::string& name) {
    if (!tensors_.tensors.contains(name)) return;
    require((tensors_[name].as<Eigen::MatrixXd>().array() == 1).all(), tensors_[name].name,
            ": must be 1 everywhere, since it is not applied");
    taken_.insert(name);
  }

  /// Returns the types of all read tensors whose type is not `type`.
  [[nodiscard]] TensorTypes types_other_than(Type type) const {
    TensorTypes types;
    for (const std::string& name : taken_)
      if (tensors_[name].type != type) types[name] = tensors_[name].type;
    return types;
  }

  /// Checks that every tensor of the file was read, since the model would be different without it.
  ///
  /// Throws     Error if a tensor was not read
  void done() const {
    for (const auto& [name, array] : tensors_.tensors)
      require(taken_.contains(name), array.name, ": is not a tensor of the model that ", config_, " describes");
  }

 private:
  Safetensors tensors_;
  std::string config_;
  std::set<std::string> taken_;
};

/// Collects tensors for a file and checks that they have the shapes that the configuration describes.
class TensorWriter {
 public:
  TensorWriter(std::string call, Type type, const TensorTypes& others)
      : call_(std::move(call)), type_(type), others_(others) {}

  template <class M>
  void operator()(const std::string& name, const M& matrix, Index rows, Index cols, bool transposed = false) {
    require(matrix.rows() == rows && matrix.cols() == cols, call_, ": ", name, " must be ", rows, " x ", cols, ", is ",
            matrix.rows(), " x ", matrix.cols());
    const auto other = others_.find(name);
    const Type type = other != others_.end() ? other->second : type_;
    tensors_.add(name, transposed ? array_of(matrix.transpose(), type) : array_of(matrix, type));
    written_.insert(&matrix);
  }

  /// Checks that every array of the weights is empty or was collected.
  ///
  /// Throws     Error if the weights have an array that the configuration does not describe
  template <Real S>
  void done(const SaeWeights<S>& weights) const {
    const auto check = [&](const char* name, const auto& array) {
      require(written_.contains(&array) || array.size() == 0, call_, ": ", name, " must be empty, is ", array.rows(),
              " x ", array.cols());
    };
    check("threshold", weights.threshold);
    check("r_mag", weights.r_mag);
    check("b_mag", weights.b_mag);
    check("W_skip", weights.W_skip);
  }

  /// Writes the weights, then the configuration: a new directory has a configuration only when it is complete.
  void write(const std::string& directory, const std::string& weights, const JsonObject& config) const {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    require(!error, directory, ": cannot create this directory: ", error.message());
    save_safetensors(directory + "/" + weights, tensors_);
    save_json(directory + "/cfg.json", config);
  }

 private:
  std::string call_;
  Type type_;
  const TensorTypes& others_;
  Arrays tensors_;
  std::set<const void*> written_;
};

}  // namespace detail
}  // namespace filigree
