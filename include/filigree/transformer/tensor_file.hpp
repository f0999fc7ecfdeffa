// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "filigree/io/safetensors.hpp"
#include "filigree/transformer/tensor_names.hpp"

namespace filigree {

namespace detail {

template <class S>
using PlaceMatrix = Eigen::Matrix<std::remove_const_t<S>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Returns the parameters of a tensor.
template <class S>
auto parameters_at(const TensorPlace& place, S* parameters) {
  using M = std::conditional_t<std::is_const_v<S>, const PlaceMatrix<S>, PlaceMatrix<S>>;
  return Eigen::Map<M, 0, Eigen::OuterStride<>>(parameters + place.offset, place.rows, place.cols,
                                                Eigen::OuterStride<>(place.stride));
}

/// Returns parameters as the array that a file has.
template <class S>
NdArray stored(const TensorPlace& place, const S* parameters, Type type) {
  const auto matrix = parameters_at(place, parameters);
  if (place.is_vector) return array_of(Eigen::RowVector<S, Eigen::Dynamic>(matrix), type);
  return place.transposed ? array_of(matrix.transpose(), type) : array_of(matrix, type);
}

/// Calls f(place, tensor) for the tensors of a network in a file, after a check of all of them.
template <class Net, class F>
void each_tensor(const Net& net, const Safetensors& file, const TensorNames& names, F&& f) {
  const std::vector<TensorPlace> places = places_of(net, names);
  std::string prefix;
  for (auto p = names.prefixes.rbegin(); p != names.prefixes.rend() && !places.empty(); ++p)
    if (file.tensors.contains(*p + places[0].name)) prefix = *p;
  for (const TensorPlace& place : places) {
    const NdArray& tensor = file[prefix + place.name];
    require(tensor.shape == place.shape(), tensor.name, ": must have shape ", shape_text(place.shape()), ", has ",
            shape_text(tensor.shape));
    require(tensor.type >= Type::float16, tensor.name, ": must be floating point, is ", name_of(tensor.type));
  }
  for (const TensorPlace& place : places) f(place, file[prefix + place.name]);
}

}  // namespace detail

/// Sets the parameters of a network to tensors of a file: load(encoder, load_safetensors(path), bert_names()).
///
/// Tensors of 16, 32 and 64 bits are converted to the scalar of the network. Other tensors of the file, such as those
/// of a head that the network does not have, are not read.
/// Throws     Error that names the tensor, if one is missing, has another shape or is not floating point, or if the
///            names do not fit the layers; the network is unchanged then
template <class Net>
void load(Net& net, const Safetensors& file, const TensorNames& names) {
  using S = typename Net::Scalar;
  typename Net::Vector loaded = net.parameters();
  detail::each_tensor(net, file, names, [&](const detail::TensorPlace& place, const NdArray& tensor) {
    auto to = detail::parameters_at(place, loaded.data());
    if (place.is_vector)
      to = tensor.as<Eigen::RowVector<S, Eigen::Dynamic>>();
    else if (place.transposed)
      to = tensor.as<detail::PlaceMatrix<S>>().transpose();
    else
      to = tensor.as<detail::PlaceMatrix<S>>();
  });
  net.parameters() = std::move(loaded);
}

/// Sets the parameters of a network to tensors of a .safetensors file: load(encoder, "model.safetensors",
/// bert_names()).
///
/// Throws     Error as above, and for the reasons of map_safetensors
template <class Net>
void load(Net& net, const std::string& path, const TensorNames& names) {
  load(net, map_safetensors(path), names);
}

/// Returns the parameters of a network as tensors of the given type, with the names that a file has for them.
///
/// Throws     Error if the names do not fit the layers
template <class Net>
Arrays tensors_of(const Net& net, const TensorNames& names, Type type) {
  Arrays tensors("tensors_of(network, names)");
  const std::string prefix = names.prefixes.empty() ? "" : names.prefixes[0];
  for (const detail::TensorPlace& place : detail::places_of(net, names))
    tensors.add(prefix + place.name, detail::stored(place, net.parameters().data(), type));
  return tensors;
}
/// Returns the parameters of a network as tensors of its own scalar.
template <class Net>
Arrays tensors_of(const Net& net, const TensorNames& names) {
  return tensors_of(net, names, detail::type_of<typename Net::Scalar>());
}

/// Writes the parameters of a network to a new .safetensors file. PyTorch's libraries need the default metadata.
///
/// Throws     Error if the names do not fit the layers, and for the reasons of save_safetensors
template <class Net>
void save(const Net& net, const std::string& path, const TensorNames& names,
          const std::map<std::string, std::string>& metadata = {{"format", "pt"}}) {
  save_safetensors(path, tensors_of(net, names), metadata);
}

/// Writes a copy of the .safetensors file `original`, in which the tensors of a network have its parameters.
///
/// Names, shapes, types, the order of the tensors, metadata and all other tensors are those of the original. After a
/// load from the original, the copy has the same bytes. `path` may be the original.
/// Throws     Error as load(), before anything is written, and for the reasons of write_file
template <class Net>
void save(const Net& net, const std::string& path, const TensorNames& names, const std::string& original) {
  const Bytes bytes = read_file(original);
  const Safetensors file = parse_safetensors(bytes, original);
  const Bytes copy = Bytes::filled(bytes.size(), [&](std::span<std::byte> to) {
    std::copy(bytes.span().begin(), bytes.span().end(), to.begin());
    detail::each_tensor(net, file, names, [&](const detail::TensorPlace& place, const NdArray& tensor) {
      const NdArray array = detail::stored(place, net.parameters().data(), tensor.type);
      if (array.bytes.size() > 0)
        std::memcpy(to.data() + (tensor.bytes.data() - bytes.data()), array.bytes.data(), array.bytes.size());
    });
  });
  write_file(path, std::vector{copy});
}

}  // namespace filigree
