// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

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

/// An autoencoder as a directory holds it: const auto [config, weights] = load_sae_lens("layer_12").
template <class Config, Real S>
struct SaeFile {
  Config config;
  SaeWeights<S> weights;
};

namespace detail {

/// Takes tensors of a file into weights, one after another: take("W_enc", weights.W_enc, rows, cols), where the file
/// may have the transpose.
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

  /// Takes factors of the latents, which must be 1 if they are there.
  void ones(const std::string& name) {
    if (!tensors_.tensors.contains(name)) return;
    require((tensors_[name].as<Eigen::MatrixXd>().array() == 1).all(), tensors_[name].name,
            ": must be 1 everywhere to be left out");
    taken_.insert(name);
  }

  /// The types of the taken tensors that have another one than `type`.
  [[nodiscard]] TensorTypes types_other_than(Type type) const {
    TensorTypes types;
    for (const std::string& name : taken_)
      if (tensors_[name].type != type) types[name] = tensors_[name].type;
    return types;
  }

  /// Throws     Error if the file has a tensor that nobody took, since it would be another model without it
  void done() const {
    for (const auto& [name, array] : tensors_.tensors)
      require(taken_.contains(name), array.name, ": is not a tensor of what ", config_, " describes");
  }

 private:
  Safetensors tensors_;
  std::string config_;
  std::set<std::string> taken_;
};

/// Collects tensors for a file in the same way, and checks that they have the shape that the configuration gives them.
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

  /// Throws     Error if the weights have an array that this file has no place for
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

  /// Weights first, so that a new directory has a configuration only once it is complete.
  void write(const std::string& directory, const std::string& weights, const JsonObject& config) const {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    require(!error, directory, ": cannot be made a directory: ", error.message());
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
