// SPDX-License-Identifier: MIT
// Layers, losses, penalties and optimizers: a forward and backward pass of an autoencoder with the word over the pass
// without it, and a step of an optimizer over `w += 0.1 * g` in a loop.

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "../encode.hpp"
#include "table.hpp"

namespace bench {
namespace {

using MatrixD = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr Index samples = 256, width = 512, latents = 4096;

const Matrix& data() {
  static const Matrix x = normal(samples, width, 0);
  return x;
}

bool is_close(double got, double expected) { return std::abs(got - expected) <= 1e-4 * std::abs(expected) + 1e-6; }

/// Loss and gradient of an autoencoder. expected(codes, outputs) is the loss in double precision.
template <class Net, class Objective>
struct Step {
  using Expected = std::function<double(const MatrixD& codes, const MatrixD& outputs)>;
  Step(Net network, Objective o, Expected e)
      : net(std::move(network)), objective(std::move(o)), expected(std::move(e)), pass(net) {}
  void run() {
    loss = pass.gradient(net, data(), objective, gradient);
    keep(gradient.data());
  }
  bool is_right() {
    run();
    const MatrixD codes = net.encode(data()).template cast<double>(), outputs = net(data()).template cast<double>();
    return gradient.allFinite() && is_close(loss, expected(codes, outputs));
  }
  Net net;
  Objective objective;
  Expected expected;
  fg::Pass<Net> pass;
  typename Net::Vector gradient;
  double loss = 0;
};

/// net(X), compared with formula(X) in double precision.
template <class Net>
struct Forward {
  Forward(Net network, Index cols, std::function<MatrixD(const Net&, const MatrixD&)> f)
      : x(normal(1024, cols, 1)), net(std::move(network)), formula(std::move(f)) {}
  void run() {
    y = net(x);
    keep(y.data());
  }
  bool is_right() {
    run();
    const MatrixD expected = formula(net, x.cast<double>());
    return (y.cast<double>() - expected).cwiseAbs().maxCoeff() <= 1e-4 * expected.cwiseAbs().maxCoeff();
  }
  Matrix x, y;
  Net net;
  std::function<MatrixD(const Net&, const MatrixD&)> formula;
};

double error(const MatrixD& outputs) { return (outputs - data().cast<double>()).squaredNorm() / samples; }

class NetworkWords {
 public:
  explicit NetworkWords(WordTable& table) : table_(table) {}

  template <class Net, class Objective, class Expected>
  void floor(const char* name, const Net& net, const Objective& objective, const Expected& expected) {
    table_.floor(name, [=] { return std::make_unique<Step<Net, Objective>>(net, objective, expected); });
  }
  template <class Net, class Objective, class Expected>
  void add(const char* word, const char* floor, Bounds bounds, const Net& net, const Objective& objective,
           const Expected& expected) {
    table_.at_most(word, "forward and backward", floor, bounds,
                   [=] { return std::make_unique<Step<Net, Objective>>(net, objective, expected); });
  }

 private:
  WordTable& table_;
};

void add_penalties(NetworkWords& words) {
  const auto encoder = fg::linear(width, latents) | fg::sigmoid();
  const auto decoder = fg::linear(latents, width);
  const auto squared = [](const MatrixD&, const MatrixD& y) { return error(y); };
  words.floor("autoencoder of 4096 sigmoids", fg::autoencoder(encoder, decoder), fg::squared_error(), squared);
  const auto penalty = [&](const char* word, const auto& p, auto formula) {
    words.add(word, "autoencoder of 4096 sigmoids", {1.15, 1.05},
              fg::autoencoder(encoder | fg::penalize(0.1 * p), decoder), fg::squared_error(),
              [=](const MatrixD& a, const MatrixD& y) { return error(y) + 0.1 * formula(a); });
  };
  penalty("l1()", fg::l1(), [](const MatrixD& a) { return a.cwiseAbs().sum() / samples; });
  penalty("kl(rho)", fg::kl(0.05), [](const MatrixD& a) {
    const Eigen::ArrayXd r = a.colwise().mean().transpose().array();
    return (0.05 * (0.05 / r).log() + 0.95 * (0.95 / (1 - r)).log()).sum();
  });
  penalty("flops()", fg::flops(), [](const MatrixD& a) { return a.cwiseAbs().colwise().mean().squaredNorm(); });
  penalty("hoyer_square()", fg::hoyer_square(), [](const MatrixD& a) {
    const Eigen::ArrayXd sum = a.cwiseAbs().rowwise().sum();
    return (sum.square() / a.rowwise().squaredNorm().array()).mean();
  });
  penalty("entropy()", fg::entropy(), [](const MatrixD& a) {
    double sum = 0;
    for (Index i = 0; i < a.rows(); ++i) {
      const Eigen::ArrayXd p = a.row(i).cwiseAbs().array().transpose() / a.row(i).cwiseAbs().sum();
      sum -= (p * p.log()).sum();
    }
    return sum / samples;
  });
  penalty("group_lasso(size)", fg::group_lasso(8), [](const MatrixD& a) {
    double sum = 0;
    for (Index j = 0; j < a.cols(); j += 8) sum += a.middleCols(j, 8).rowwise().norm().sum();
    return sum / samples;
  });
  words.add("penalize(penalty)", "autoencoder of 4096 sigmoids", {1.15, 1.05},
            fg::autoencoder(encoder | fg::penalize(fg::l1()), decoder), fg::squared_error(),
            [](const MatrixD& a, const MatrixD& y) { return error(y) + a.cwiseAbs().sum() / samples; });
  const auto plain = fg::autoencoder(encoder, decoder);
  words.add("weight_decay()", "autoencoder of 4096 sigmoids", {1.1, 1.03}, plain,
            fg::squared_error() + 0.1 * fg::weight_decay(), [plain](const MatrixD&, const MatrixD& y) {
              const auto squares = [](const auto& w) { return w.template cast<double>().squaredNorm(); };
              return error(y) + 0.05 * (squares(plain.template weights<0>()) + squares(plain.template weights<2>()));
            });
  words.add("normalized_squared_error()", "autoencoder of 4096 sigmoids", {1.05, 1.02},
            fg::autoencoder(encoder, decoder), fg::normalized_squared_error(), [](const MatrixD&, const MatrixD& y) {
              const MatrixD x = data().cast<double>();
              return (y - x).squaredNorm() / (x.rowwise() - x.colwise().mean()).squaredNorm();
            });
}

void add_sparse_codes(NetworkWords& words) {
  const auto encoder = fg::pre_bias() | fg::linear(width, latents);
  const auto decoder = fg::linear(latents, width);
  const auto squared = [](const MatrixD&, const MatrixD& y) { return error(y); };
  const char* floor = "TopK autoencoder, k = 32";
  const auto sae = fg::autoencoder(encoder | fg::top_k(32), decoder);
  words.floor(floor, sae, fg::squared_error(), squared);
  words.add("batch_top_k(k)", floor, {1.1, 1.03}, fg::autoencoder(encoder | fg::batch_top_k(32), decoder),
            fg::squared_error(), squared);
  words.add("pre_bias()", floor, {1.1, 1.0},
            fg::autoencoder(fg::pre_bias() | fg::linear(width, latents) | fg::top_k(32), decoder), fg::squared_error(),
            squared);
  words.add("jump_relu(latents, {.theta, .bandwidth})", "autoencoder of 4096 sigmoids", {1.15, 1.0},
            fg::autoencoder(encoder | fg::jump_relu(latents, {.theta = 0.5, .bandwidth = 0.1}), decoder),
            fg::squared_error(), squared);
  words.add("gated(in, latents)", "autoencoder of 4096 sigmoids", {1.3, 1.1},
            fg::autoencoder(fg::pre_bias() | fg::gated(width, latents), decoder), fg::squared_error(), squared);
  const auto jump = encoder | fg::jump_relu(latents, {.theta = 0.5, .bandwidth = 0.1});
  words.floor("JumpReLU autoencoder", fg::autoencoder(jump, decoder), fg::squared_error(), squared);
  words.add("l0()", "JumpReLU autoencoder", {1.1, 1.03}, fg::autoencoder(jump | fg::penalize(0.01 * fg::l0()), decoder),
            fg::squared_error(), [](const MatrixD& a, const MatrixD& y) {
              return error(y) + 0.01 * static_cast<double>((a.array() != 0).count()) / samples;
            });
  const auto gated = fg::autoencoder(fg::pre_bias() | fg::gated(width, latents), decoder);
  words.floor("gated autoencoder", gated, fg::squared_error(), squared);
  const auto gates = [gated](const MatrixD&) -> MatrixD {
    const auto& layer = gated.template weights<1>();  // the biases of the gates are 0 at the start
    return (data().cast<double>() * layer.template cast<double>()).cwiseMax(0);
  };
  words.add("gate_l1()", "gated autoencoder", {1.15, 1.05}, gated, fg::squared_error() + fg::gate_l1(),
            [=](const MatrixD& a, const MatrixD& y) { return error(y) + gates(a).sum() / samples; });
  words.add("gate_reconstruction()", "gated autoencoder", {1.6, 1.4}, gated,
            fg::squared_error() + fg::gate_reconstruction(), [=](const MatrixD& a, const MatrixD& y) {
              const MatrixD w = gated.template weights<2>().template cast<double>();
              return error(y) + error(gates(a) * w);
            });
  words.add("aux_k(k, {.after, .normalized})", floor, {1.6, 1.3}, sae, fg::squared_error() + fg::aux_k(32), squared);
  words.add("linear.unit_norm_rows()", floor, {1.05, 1.0},
            fg::autoencoder(encoder | fg::top_k(32), fg::linear(latents, width).unit_norm_rows()), fg::squared_error(),
            squared);
  words.add("matryoshka(prefixes)", floor, {2.0, 1.5}, sae, fg::matryoshka({1024, 2048, latents}),
            [sae](const MatrixD& a, const MatrixD&) {
              const MatrixD w = sae.template weights<3>().template cast<double>();
              const Eigen::RowVectorXd b = sae.template biases<3>().template cast<double>().transpose();
              double sum = 0;
              for (const Index prefix : {Index{1024}, Index{2048}, latents})
                sum += error((a.leftCols(prefix) * w.topRows(prefix)).rowwise() + b);
              return sum;
            });
}

void add_layers(WordTable& table) {
  const auto add = [&](const char* word, const char* floor, Bounds bounds, const auto& net, Index cols, auto formula) {
    using Net = std::remove_cvref_t<decltype(net)>;
    table.at_most(word, "forward", floor, bounds, [=] {
      return std::make_unique<Forward<Net>>(net, cols, [=](const Net& n, const MatrixD& x) { return formula(n, x); });
    });
  };
  const auto linear = [](const auto& net, const MatrixD& x) -> MatrixD {
    return (x * net.template weights<0>().template cast<double>()).rowwise() +
           net.template biases<0>().template cast<double>().transpose().eval();
  };
  static const Matrix x = normal(1024, width, 1), w = normal(width, latents, 2);
  table.floor("product, 1024 x 512 x 4096", [] { return std::make_unique<EncodeProduct>(x, w); });
  add("linear(in, out)", "product, 1024 x 512 x 4096", {1.15, 1.05}, fg::network(fg::linear(width, latents)), width,
      linear);
  add("layer_norm(width, epsilon = 1e-5)", "copy", {3, 2}, fg::network(fg::layer_norm(4096)), 4096,
      [](const auto&, const MatrixD& in) -> MatrixD {
        MatrixD out = in.colwise() - in.rowwise().mean();
        for (Index i = 0; i < out.rows(); ++i)
          out.row(i) /= std::sqrt(out.row(i).squaredNorm() / static_cast<double>(out.cols()) + 1e-5);
        return out;
      });
  add("rms_norm(width, epsilon = 1e-6)", "copy", {3, 2}, fg::network(fg::rms_norm(4096)), 4096,
      [](const auto&, const MatrixD& in) -> MatrixD {
        MatrixD out = in;
        for (Index i = 0; i < out.rows(); ++i)
          out.row(i) /= std::sqrt(in.row(i).squaredNorm() / static_cast<double>(in.cols()) + 1e-6);
        return out;
      });
  const auto inner = fg::network(fg::linear(width, width));
  table.floor("linear(512, 512), forward",
              [=] { return std::make_unique<Forward<std::remove_const_t<decltype(inner)>>>(inner, width, linear); });
  // The outputs of one of two linear layers, 512 x 512.
  const auto half_of = [](const auto& net, const MatrixD& in, Index half) -> MatrixD {
    const float* values = net.parameters().data() + half * net.parameters().size() / 2;
    return (in * Eigen::Map<const Matrix>(values, width, width).cast<double>()).rowwise() +
           Eigen::Map<const Eigen::RowVectorXf>(values + width * width, width).cast<double>().eval();
  };
  add("sum(f, more...)", "linear(512, 512), forward", {2.3, 2.1},
      fg::network(fg::sum(fg::linear(width, width), fg::linear(width, width))), width,
      [=](const auto& net, const MatrixD& in) -> MatrixD { return half_of(net, in, 0) + half_of(net, in, 1); });
  add("multiply(f, G)", "linear(512, 512), forward", {2.3, 2.1},
      fg::network(fg::multiply(fg::linear(width, width), fg::linear(width, width))), width,
      [=](const auto& net, const MatrixD& in) -> MatrixD {
        return half_of(net, in, 0).cwiseProduct(half_of(net, in, 1));
      });
  add("repeat(count, layers, {.recompute})", "linear(512, 512), forward", {2.1, 2.0},
      fg::network(fg::repeat(2, fg::linear(width, width))), width,
      [=](const auto& net, const MatrixD& in) -> MatrixD { return half_of(net, half_of(net, in, 0), 1); });
  add("residual(f)", "linear(512, 512), forward", {1.3, 1.1}, fg::network(fg::residual(fg::linear(width, width))),
      width, [linear, inner](const auto&, const MatrixD& in) -> MatrixD { return in + linear(inner, in); });
}

void add_classifier(WordTable& table) {
  static const Matrix x = normal(samples, width, 1);
  static const Matrix classes =
      Matrix::NullaryExpr(samples, 1000, [](Index i, Index c) { return c == i * 37 % 1000 ? 1.0F : 0.0F; });
  static const Matrix targets = normal(samples, 1000, 2);
  static auto net = fg::network(fg::linear(width, 1000));
  using Net = decltype(net);
  struct Case {
    std::function<double()> call, expected;
    double loss = 0;
    void run() { loss = call(), keep(&loss); }
    bool is_right() {
      run();
      return is_close(loss, expected());
    }
  };
  static fg::Pass<Net> pass(net);
  static Net::Vector gradient;
  const auto outputs = [] { return net(x).cast<double>().eval(); };
  table.floor("classifier, squared error", [=] {
    return std::make_unique<Case>(Case{[] { return pass.gradient(net, x, targets, fg::squared_error(), gradient); },
                                       [=] { return (outputs() - targets.cast<double>()).squaredNorm() / samples; }});
  });
  table.at_most(
      "cross_entropy({.label_smoothing, .ignored_class})", "1000 classes", "classifier, squared error", {1.1, 1.03},
      [=] {
        return std::make_unique<Case>(Case{[] { return pass.gradient(net, x, classes, fg::cross_entropy(), gradient); },
                                           [=] {
                                             const auto y = outputs();
                                             double sum = 0;
                                             for (Index i = 0; i < samples; ++i)
                                               sum += std::log(y.row(i).array().exp().sum()) - y(i, i * 37 % 1000);
                                             return sum / samples;
                                           }});
      });
}

/// w += 0.1 * g in a loop.
struct Axpy {
  static constexpr Index count = 2 * 512 * 8192;
  void run() {
    float* to = w.data();
    const float* from = g.data();
    for (Index i = 0; i < count; ++i) to[i] += 0.1F * from[i];
    keep(to);
  }
  bool is_right() {
    const Eigen::VectorXf before = w;
    run();
    return w.isApprox(before + 0.1F * g);
  }
  Eigen::VectorXf w = normal(count, 1, 4), g = 1e-3F * normal(count, 1, 5);
};

/// A step of an optimizer on 8.4 million weights, compared with its formula after one step.
template <class Opt>
struct OptimizerStep {
  OptimizerStep(Opt o, std::function<double(double w, double g)> f) : optimizer(o), first_step(std::move(f)) {
    moments = Eigen::VectorXf::Zero(fg::detail::moments_of(optimizer) * Axpy::count);
  }
  void run() {
    ++number;
    optimizer.step(fg::Parameters<float>{w.data(), g.data(), moments.data(), Axpy::count, true}, number, 1.0);
    keep(w.data());
  }
  bool is_right() {
    const Eigen::VectorXf before = w;
    run();
    for (Index i = 0; i < w.size(); i += 9973)
      if (!(std::abs(w[i] - first_step(before[i], g[i])) <= 1e-5)) return false;
    return true;
  }
  Opt optimizer;
  std::function<double(double, double)> first_step;
  Index number = 0;
  Eigen::VectorXf w = normal(Axpy::count, 1, 4), g = 1e-2F * normal(Axpy::count, 1, 5), moments;
};

void add_optimizers(WordTable& table) {
  table.floor("w += 0.1 * g", [] { return std::make_unique<Axpy>(); });
  const auto add = [&](const char* word, const char* what, Bounds bounds, auto optimizer, auto formula) {
    table.at_most(word, what, "w += 0.1 * g", bounds,
                  [=] { return std::make_unique<OptimizerStep<decltype(optimizer)>>(optimizer, formula); });
  };
  const auto sign = [](double g) { return g / (std::abs(g) + 1e-8); };
  add("sgd{.rate, .momentum, .nesterov}", "a step", {1.9, 1.25}, fg::sgd{.rate = 0.1},
      [](double w, double g) { return w - 0.1 * g; });
  add("sgd{.rate, .momentum, .nesterov}", "a step with momentum", {2.5, 1.9}, fg::sgd{.rate = 0.1, .momentum = 0.9},
      [](double w, double g) { return w - 0.1 * g; });
  add("adam{.rate, .beta1, .beta2, .epsilon, .amsgrad}", "a step", {3.1, 1.9}, fg::adam{.rate = 0.01},
      [=](double w, double g) { return w - 0.01 * sign(g); });
  add("adamw{.rate, .beta1, .beta2, .epsilon, .decay, .amsgrad}", "a step", {3.1, 1.9},
      fg::adamw{.rate = 0.01, .decay = 0.1}, [=](double w, double g) { return w - 0.01 * 0.1 * w - 0.01 * sign(g); });
  add("proximal_gradient{.rate, .l1}", "a step", {1.9, 1.25}, fg::proximal_gradient{.rate = 0.1, .l1 = 0.5},
      [](double w, double g) {
        const double moved = w - 0.1 * g;
        return std::copysign(std::max(std::abs(moved) - 0.05, 0.0), moved);
      });
}

}  // namespace

void add_network_words(WordTable& table) {
  NetworkWords words(table);
  add_penalties(words);
  add_sparse_codes(words);
  add_layers(table);
  add_classifier(table);
  add_optimizers(table);
}

}  // namespace bench
