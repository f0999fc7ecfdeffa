// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;
using test::Index;

namespace {

/// Compares a head in double: its vectors, and for each loss its value and all gradients.
///
/// The tokens are the weights of a linear layer before the head, whose inputs are the rows of the identity. Its
/// gradient is that with respect to the tokens.
template <class Stages>
void check_head(const std::string& which, const Stages& stages) {
  CAPTURE(which);
  const Fixture arrays("sparse_head"), expected("sparse_head/" + which);
  const Matrix<double> x = arrays.matrix<double>("x"), w = arrays.matrix<double>("weights");
  auto net = fg::network(fg::linear<double>(x.rows(), x.cols()) | fg::linear<double>(w.rows(), w.cols()) | stages);
  net.template weights<0>() = x;
  net.template biases<0>().setZero();
  net.template weights<1>() = w;
  net.template biases<1>() = arrays.vector<double>("biases");
  const Matrix<double> tokens = Matrix<double>::Identity(x.rows(), x.rows());
  const fg::Batch batch{tokens, arrays.integers("lengths")};
  CHECK(parity::deviation(net(batch), expected.matrix<double>("vectors")) <= parity::tolerance<double>);

  const auto check = [&](const std::string& name, const auto& objective) {
    CAPTURE(name);
    Eigen::VectorXd gradient;
    const double loss = fg::Pass(net).gradient(net, batch, objective, gradient);
    CHECK(loss == Approx(expected.vector<double>("loss_" + name)[0]).epsilon(parity::tolerance<double>));
    const Eigen::Map<const Matrix<double>> of_x(gradient.data(), x.rows(), x.cols());
    const Eigen::Map<const Matrix<double>> of_w(gradient.data() + net.offset(1), w.rows(), w.cols());
    CHECK(parity::deviation(of_x, expected.matrix<double>("grad_" + name + "_x")) <= parity::tolerance<double>);
    CHECK(parity::deviation(of_w, expected.matrix<double>("grad_" + name + "_weights")) <= parity::tolerance<double>);
    CHECK(parity::deviation(gradient.segment(net.offset(1) + w.size(), w.cols()),
                            expected.vector<double>("grad_" + name + "_biases")) <= parity::tolerance<double>);
  };
  const auto margins = arrays.array<double>("margins").values;
  const auto queries = static_cast<Index>(margins.size());
  check("in_batch_negatives", fg::in_batch_negatives(queries, {.scale = 0.5}));
  check("margin_mse", fg::margin_mse(margins));
  check("distillation_kl", fg::distillation_kl(arrays.matrix<double>("teacher")));
  check("query_flops", 1.0 * fg::query_flops(queries));
  check("document_flops", 1.0 * fg::document_flops(queries));
}

}  // namespace

TEST_CASE("the head of SPLADE with its losses and regularizers agrees with PyTorch") {
  const Index kept = Fixture("sparse_head").integer("kept");
  check_head("max", fg::log1p_relu() | fg::pool_max());
  check_head("max_top_k", fg::log1p_relu() | fg::pool_max() | fg::top_k(kept));
  check_head("sum", fg::log1p_relu() | fg::pool_sum());
  check_head("sum_top_k", fg::log1p_relu() | fg::pool_sum() | fg::top_k(kept));
}
