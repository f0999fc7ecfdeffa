// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;
using test::Index;

namespace {

/// Sets the parameters of an encoder and a decoder, stages E and D, from the folder of a model.
template <std::size_t E, std::size_t D, class Net>
void load(Net& net, const Fixture& model, const std::string& bias) {
  using S = typename Net::Scalar;
  net.template weights<E>() = model.matrix<S>("w_enc");
  net.template biases<E>() = model.vector<S>("b_enc");
  net.template weights<D>() = model.matrix<S>("w_dec");
  net.template biases<D>() = model.vector<S>(bias);
}

/// Returns the part of a network's gradient that belongs to the weights of stage L.
template <std::size_t L, class Net>
auto weights_of(const Net& net, const typename Net::Vector& gradient) {
  const auto& layer = net.template stage<L>();
  return Eigen::Map<const typename Net::Matrix>(gradient.data() + net.offset(L), layer.in, layer.out);
}
template <std::size_t L, class Net>
auto biases_of(const Net& net, const typename Net::Vector& gradient) {
  const auto& layer = net.template stage<L>();
  return gradient.segment(net.offset(L) + layer.weight_count(), layer.parameter_count() - layer.weight_count());
}

template <class S, class Stages>
void check_pre_bias(const std::string& model, const std::string& which, const Stages& stages) {
  CAPTURE(model, which);
  const Fixture arrays(model), expected(model + "/" + which);
  const Matrix<S> x = arrays.matrix<S>("x"), w = arrays.matrix<S>("w_enc");
  auto sae =
      fg::autoencoder(fg::pre_bias() | fg::linear<S>(w.rows(), w.cols()) | stages, fg::linear<S>(w.cols(), w.rows()));
  constexpr std::size_t last = decltype(sae)::depth - 1;
  load<1, last>(sae, arrays, "b_pre");
  CHECK(parity::deviation(sae.encode(x), expected.matrix<double>("codes")) <= parity::tolerance<S>);
  CHECK(parity::deviation(sae(x), expected.matrix<double>("output")) <= parity::tolerance<S>);

  fg::Pass pass(sae);
  typename decltype(sae)::Vector gradient;
  const double loss = pass.gradient(sae, x, x, fg::squared_error(), gradient);
  CHECK(loss == Approx(expected.vector<double>("loss")[0]).epsilon(parity::tolerance<S>));
  CHECK(parity::deviation(weights_of<1>(sae, gradient), expected.matrix<double>("grad_w_enc")) <= parity::tolerance<S>);
  CHECK(parity::deviation(biases_of<1>(sae, gradient), expected.vector<double>("grad_b_enc")) <= parity::tolerance<S>);
  CHECK(parity::deviation(weights_of<last>(sae, gradient), expected.matrix<double>("grad_w_dec")) <=
        parity::tolerance<S>);
  CHECK(parity::deviation(biases_of<last>(sae, gradient), expected.vector<double>("grad_b_pre")) <=
        parity::tolerance<S>);
}

}  // namespace

TEMPLATE_TEST_CASE("TopK autoencoders agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  for (const std::string which : {"k_4", "k_16", "k_24"}) {
    const Index k = Fixture("top_k_autoencoder/" + which).integer("k");
    check_pre_bias<TestType>("top_k_autoencoder", which, fg::top_k(k) | fg::relu());
  }
}

TEMPLATE_TEST_CASE("the auxiliary loss of dead latents agrees with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture arrays("top_k_autoencoder"), plain("top_k_autoencoder/k_4"), expected("top_k_autoencoder/auxiliary");
  const Matrix<S> x = arrays.matrix<S>("x"), w = arrays.matrix<S>("w_enc");
  auto sae =
      fg::autoencoder(fg::pre_bias() | fg::linear<S>(w.rows(), w.cols()) | fg::top_k(plain.integer("k")) | fg::relu(),
                      fg::linear<S>(w.cols(), w.rows()));
  load<1, 4>(sae, arrays, "b_pre");
  const std::vector<Index> dead = arrays.integers("dead");
  const double loss = expected.vector<double>("loss")[0], normalized = expected.vector<double>("loss_normalized")[0];
  for (const bool divided : {false, true}) {
    fg::Pass pass(sae);
    for (std::size_t j = 0; j < dead.size(); ++j) pass.samples_since_active()[j] = dead[j] * 1000;
    typename decltype(sae)::Vector gradient, both;
    const auto auxiliary = (1.0 / 32) * fg::aux_k(expected.integer("k_aux"), {.after = 1000, .normalized = divided});
    const double value = pass.gradient(sae, x, x, 0.0 * fg::squared_error() + auxiliary, gradient);
    CHECK(value == Approx(divided ? normalized : loss).epsilon(10 * parity::tolerance<S>));
    Eigen::VectorXd sum(gradient.size());
    sum << expected.vector<double>("grad_w_enc"), expected.vector<double>("grad_b_enc"),
        expected.vector<double>("grad_w_dec"), expected.vector<double>("grad_b_pre");
    if (divided) sum *= normalized / loss;
    CHECK(parity::deviation(gradient, sum) <= parity::tolerance<S>);

    for (std::size_t j = 0; j < dead.size(); ++j) pass.samples_since_active()[j] = dead[j] * 1000;
    pass.gradient(sae, x, x, fg::squared_error() + auxiliary, both);
    Eigen::VectorXd reconstruction(gradient.size());
    reconstruction << plain.vector<double>("grad_w_enc"), plain.vector<double>("grad_b_enc"),
        plain.vector<double>("grad_w_dec"), plain.vector<double>("grad_b_pre");
    CHECK(parity::deviation(both, reconstruction + sum) <= parity::tolerance<S>);
  }
}

TEMPLATE_TEST_CASE("BatchTopK autoencoders agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  for (const std::string which : {"k_1", "k_4", "k_18"}) {
    const Index k = Fixture("batch_top_k_autoencoder/" + which).integer("k");
    check_pre_bias<TestType>("batch_top_k_autoencoder", which, fg::batch_top_k(k) | fg::relu());
  }
}

TEMPLATE_TEST_CASE("JumpReLU autoencoders agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture arrays("jump_relu_autoencoder");
  const Matrix<S> x = arrays.matrix<S>("x"), w = arrays.matrix<S>("w_enc");
  const double weight = arrays.array<double>("weight").values[0];
  for (const std::string which : {"wide", "narrow"}) {
    CAPTURE(which);
    const Fixture expected("jump_relu_autoencoder/" + which), counted("jump_relu_autoencoder/" + which + "_l0");
    const double bandwidth = expected.array<double>("bandwidth").values[0];
    auto sae =
        fg::autoencoder(fg::linear<S>(w.rows(), w.cols()) | fg::jump_relu<S>(w.cols(), {.bandwidth = bandwidth}) |
                            fg::penalize(weight * fg::l0()),
                        fg::linear<S>(w.cols(), w.rows()));
    load<0, 3>(sae, arrays, "b_dec");
    const Eigen::VectorXd theta = arrays.vector<double>("log_theta").array().exp();
    sae.template biases<1>() = theta.template cast<S>();
    CHECK(parity::deviation(sae.encode(x), expected.matrix<double>("codes")) <= parity::tolerance<S>);
    CHECK(parity::deviation(sae(x), expected.matrix<double>("output")) <= parity::tolerance<S>);

    fg::Pass pass(sae);
    typename decltype(sae)::Vector gradient;
    const double loss = pass.gradient(sae, x, x, fg::squared_error(), gradient);
    CHECK(loss ==
          Approx(expected.vector<double>("loss")[0] + counted.vector<double>("loss")[0]).epsilon(parity::tolerance<S>));
    // The parameters of the reference are the logarithms of the thresholds.
    const Eigen::VectorXd thresholds =
        (expected.vector<double>("grad_log_theta") + counted.vector<double>("grad_log_theta")).array() / theta.array();
    CHECK(parity::deviation(biases_of<1>(sae, gradient), thresholds) <= parity::tolerance<S>);
    CHECK(parity::deviation(weights_of<0>(sae, gradient), expected.matrix<double>("grad_w_enc")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(biases_of<0>(sae, gradient), expected.vector<double>("grad_b_enc")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(weights_of<3>(sae, gradient), expected.matrix<double>("grad_w_dec")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(biases_of<3>(sae, gradient), expected.vector<double>("grad_b_dec")) <=
          parity::tolerance<S>);
  }
}

TEMPLATE_TEST_CASE("gated autoencoders agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture arrays("gated_autoencoder");
  const Matrix<S> x = arrays.matrix<S>("x"), w = arrays.matrix<S>("w_gate");
  const Index latents = w.cols();
  auto sae = fg::autoencoder(fg::pre_bias() | fg::gated<S>(w.rows(), latents), fg::linear<S>(latents, w.rows()));
  sae.template weights<1>() = w;
  sae.template biases<1>() << arrays.vector<S>("b_gate"), arrays.vector<S>("b_mag"), arrays.vector<S>("r_mag");
  sae.template weights<2>() = arrays.matrix<S>("w_dec");
  sae.template biases<2>() = arrays.vector<S>("b_dec");
  const Fixture reconstruction("gated_autoencoder/reconstruction");
  CHECK(parity::deviation(sae.encode(x), reconstruction.matrix<double>("codes")) <= parity::tolerance<S>);
  CHECK(parity::deviation(sae(x), reconstruction.matrix<double>("output")) <= parity::tolerance<S>);

  fg::Pass pass(sae);
  typename decltype(sae)::Vector gradient;
  const auto check = [&](const auto& objective, const std::vector<std::string>& terms) {
    const auto sum = [&](const std::string& name) {
      const Fixture first("gated_autoencoder/" + terms[0]);
      Eigen::VectorXd total = first.vector<double>(name);
      for (std::size_t t = 1; t < terms.size(); ++t)
        total += Fixture("gated_autoencoder/" + terms[t]).vector<double>(name);
      return total;
    };
    const double loss = pass.gradient(sae, x, x, objective, gradient);
    CHECK(loss == Approx(sum("loss")[0]).epsilon(parity::tolerance<S>));
    CHECK(pass.loss(sae, x, x, objective) == Approx(loss).epsilon(1e-6));
    // One comparison of the whole gradient, since a term may give 0 for some of its parts.
    Eigen::VectorXd expected(gradient.size());
    expected << sum("grad_w_gate"), sum("grad_b_gate"), sum("grad_b_mag"), sum("grad_r_mag"), sum("grad_w_dec"),
        sum("grad_b_dec");
    CHECK(parity::deviation(gradient, expected) <= parity::tolerance<S>);
  };
  const double weight = arrays.array<double>("weight").values[0];
  check(fg::squared_error(), {"reconstruction"});
  check(weight * fg::gate_l1(), {"sparsity"});
  check(fg::gate_reconstruction(), {"auxiliary"});
  check(fg::squared_error() + weight * fg::gate_l1() + fg::gate_reconstruction(),
        {"reconstruction", "sparsity", "auxiliary"});
}

TEMPLATE_TEST_CASE("Matryoshka autoencoders agree with PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture arrays("matryoshka_autoencoder");
  const Matrix<S> x = arrays.matrix<S>("x"), w = arrays.matrix<S>("w_enc");
  auto sae =
      fg::autoencoder(fg::pre_bias() | fg::linear<S>(w.rows(), w.cols()) | fg::top_k(arrays.integer("k")) | fg::relu(),
                      fg::linear<S>(w.cols(), w.rows()));
  load<1, 4>(sae, arrays, "b_pre");
  for (const std::string which : {"nested", "halves", "first"}) {
    CAPTURE(which);
    const Fixture expected("matryoshka_autoencoder/" + which);
    fg::Pass pass(sae);
    typename decltype(sae)::Vector gradient;
    const auto objective = fg::matryoshka(expected.integers("prefixes"));
    const double loss = pass.gradient(sae, x, x, objective, gradient);
    CHECK(loss == Approx(expected.vector<double>("loss")[0]).epsilon(parity::tolerance<S>));
    CHECK(pass.loss(sae, x, x, objective) == Approx(loss).epsilon(1e-6));
    CHECK(parity::deviation(weights_of<1>(sae, gradient), expected.matrix<double>("grad_w_enc")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(biases_of<1>(sae, gradient), expected.vector<double>("grad_b_enc")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(weights_of<4>(sae, gradient), expected.matrix<double>("grad_w_dec")) <=
          parity::tolerance<S>);
    CHECK(parity::deviation(biases_of<4>(sae, gradient), expected.vector<double>("grad_b_pre")) <=
          parity::tolerance<S>);
  }
}
