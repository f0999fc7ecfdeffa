// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;
using parity::Vector;

namespace {

/// Appends numbers of a module, or of its gradient, in the order of a network.
class Numbers {
 public:
  Numbers(const Fixture& from, std::string prefix) : from_(from), prefix_(std::move(prefix)) {}

  /// A matrix (out, in), transposed: its rows from `first` on.
  Numbers& weights(const std::string& name, Index first = 0, Index count = -1) {
    const Matrix<double> all = from_.matrix<double>(prefix_ + name);
    const Matrix<double> part = all.middleRows(first, count < 0 ? all.rows() : count).transpose();
    return add(part.reshaped<Eigen::RowMajor>());
  }
  /// The weights of several modules, side by side.
  Numbers& stacked(const std::vector<std::string>& names) {
    Matrix<double> all;
    for (const std::string& name : names) {
      const Matrix<double> one = from_.matrix<double>(prefix_ + name);
      all.conservativeResize(all.rows() + one.rows(), one.cols());
      all.bottomRows(one.rows()) = one;
    }
    return add(all.transpose().reshaped<Eigen::RowMajor>());
  }
  Numbers& vector(const std::string& name, Index first = 0, Index count = -1) {
    const Vector<double> all = from_.vector<double>(prefix_ + name);
    return add(all.segment(first, count < 0 ? all.size() : count));
  }
  Numbers& linear(const std::string& name) { return weights(name + "_weight").vector(name + "_bias"); }
  Numbers& norm(const std::string& name) { return vector(name + "_weight").vector(name + "_bias"); }
  Numbers& self_attention() {
    return weights("self_attn_in_proj_weight").vector("self_attn_in_proj_bias").linear("self_attn_out_proj");
  }
  Numbers& cross_attention() {
    const std::string in = "multihead_attn_in_proj_";
    return weights(in + "weight", 0, 8)
        .vector(in + "bias", 0, 8)
        .weights(in + "weight", 8, 16)
        .vector(in + "bias", 8, 16)
        .linear("multihead_attn_out_proj");
  }

  [[nodiscard]] const Vector<double>& all() const { return all_; }

 private:
  template <class V>
  Numbers& add(const V& values) {
    const Index size = all_.size();
    all_.conservativeResize(size + values.size());
    all_.tail(values.size()) = values;
    return *this;
  }

  const Fixture& from_;
  std::string prefix_;
  Vector<double> all_;
};

/// Compares layers with a module: the outputs, and the gradients by tokens, memory and parameters.
template <class Layers, class Order>
void agrees(const Layers& layers, const std::string& name, const std::string& memory_name, Order order) {
  CAPTURE(name);
  const Fixture inputs("cross_attention"), reference("cross_attention/" + name);
  const Matrix<double> tokens = inputs.matrix<double>("tokens"), target = inputs.matrix<double>("target"),
                       memory = inputs.matrix<double>(memory_name);
  const Index d = tokens.cols();
  Numbers numbers(reference, ""), expected(reference, "d_");
  order(numbers);
  order(expected);

  // The first layer is the identity. The gradient of its weights is tokens' times the gradient of the tokens.
  auto net = fg::network(fg::linear<double>(d, d) | layers);
  net.parameters().setZero();
  net.template weights<0>().setIdentity();
  REQUIRE(net.parameters().size() == d * d + d + numbers.all().size());
  net.parameters().tail(numbers.all().size()) = numbers.all();

  const fg::Batch batch{tokens, inputs.integers("lengths"), fg::Batch{memory, inputs.integers("memory_lengths")}};
  CHECK(parity::deviation(net(batch), reference.matrix<double>("output")) <= 1e-10);
  fg::Pass pass(net);
  Vector<double> gradient;
  pass.gradient(net, batch, target, fg::squared_error(), gradient);
  CHECK(parity::deviation(gradient.tail(expected.all().size()), expected.all()) <= 1e-10);
  const Matrix<double> d_tokens = reference.matrix<double>("d_tokens"), by_identity = tokens.transpose() * d_tokens;
  CHECK(parity::deviation(Eigen::Map<const Matrix<double>>(gradient.data(), d, d), by_identity) <= 1e-10);
  CHECK(parity::deviation(gradient.segment(d * d, d), d_tokens.colwise().sum().transpose()) <= 1e-10);
  CHECK(parity::deviation(pass.memory_gradient(), reference.matrix<double>("d_memory")) <= 1e-10);
}

}  // namespace

TEST_CASE("cross_attention agrees with MultiheadAttention of PyTorch with kdim and vdim") {
  agrees(fg::cross_attention<double>(8, fg::heads{2}, fg::softmax(), {.kv = 6}), "multihead", "narrow",
         [](Numbers& numbers) {
           numbers.weights("q_proj_weight")
               .vector("in_proj_bias", 0, 8)
               .stacked({"k_proj_weight", "v_proj_weight"})
               .vector("in_proj_bias", 8, 16)
               .linear("out_proj");
         });
}

TEST_CASE("decoder_layer agrees with TransformerDecoderLayer of PyTorch") {
  const auto layer = [](fg::norm_position norm) {
    return fg::decoder_layer<double>(8, fg::heads{2}, 12, fg::causal() | fg::softmax(), fg::softmax(), {.norm = norm});
  };
  agrees(layer(fg::norm_position::pre), "pre", "memory", [](Numbers& numbers) {
    numbers.norm("norm1").self_attention().norm("norm2").cross_attention().norm("norm3");
    numbers.linear("linear1").linear("linear2");
  });
  agrees(layer(fg::norm_position::post), "post", "memory", [](Numbers& numbers) {
    numbers.self_attention().norm("norm1").cross_attention().norm("norm2");
    numbers.linear("linear1").linear("linear2").norm("norm3");
  });
}
