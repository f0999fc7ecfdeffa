// SPDX-License-Identifier: MIT
// Words on a dense source, 1024 rows of 4096 numbers, over a copy of the same matrix.

#include <Eigen/SparseCore>
#include <cstring>
#include <filigree/filigree.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "check.hpp"
#include "table.hpp"

namespace bench {
namespace {

constexpr Index rows = 1024, cols = 4096;

template <class M>
const M& source() {
  static const M x = normal(rows, cols, 3).cast<typename M::Scalar>();
  return x;
}

template <class M>
struct Copy {
  Copy() : x(source<M>()), y(M::Zero(rows, cols)) {}
  void run() {
    std::memcpy(y.data(), x.data(), sizeof(typename M::Scalar) * static_cast<std::size_t>(x.size()));
    keep(y.data());
  }
  bool is_right() {
    run();
    return x == y;
  }
  const M& x;
  M y;
};

/// y = (x | stage).with(workspace), where y is dense or sparse.
template <class M, class Target, class Stage>
struct Dense {
  Dense(Stage s, oracle::Step reference) : x(source<M>()), stage(std::move(s)), step(std::move(reference)) {
    y.resize(rows, cols);
    if constexpr (requires { y.setConstant(1); }) y.setConstant(1);
  }
  void run() {
    y = (x | stage).with(workspace);
    keep(&y);
  }
  bool is_right() {
    run();
    if constexpr (fg::WholeMatrixStage<Stage>) {  // the whole matrix is too large for the reference
      const M small = x.topLeftCorner(48, 100);
      const Eigen::Matrix<typename M::Scalar, Eigen::Dynamic, Eigen::Dynamic> result = small | stage;
      return is_after_all(small, result, step);
    } else if constexpr (requires { y.outerIndexPtr(); }) {
      return is_after(x, M(y), step);
    } else {
      return is_after(x, y, step);
    }
  }

  const M& x;
  Stage stage;
  oracle::Step step;
  Target y;
  fg::Workspace workspace;
};

/// The floor of a sparse target: the dense target, and a copy of the arrays of the sparse one.
template <class Stage>
struct DenseAndWrite {
  using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
  DenseAndWrite(const Stage& stage, const oracle::Step& step) : dense(stage, step), from(dense.x | stage), to(from) {}
  void run() {
    dense.run();
    const auto count = static_cast<std::size_t>(from.nonZeros());
    std::memcpy(to.valuePtr(), from.valuePtr(), sizeof(float) * count);
    std::memcpy(to.innerIndexPtr(), from.innerIndexPtr(), sizeof(int) * count);
    keep(to.valuePtr());
  }
  bool is_right() { return dense.is_right(); }
  Dense<Matrix, Matrix, Stage> dense;
  Sparse from, to;
};

/// 100 numbers, 100 times.
template <class F>
struct Vector {
  Vector(F function, oracle::Step reference) : f(std::move(function)), step(std::move(reference)) {}
  void run() {
    for (int i = 0; i < 100; ++i) {
      f(x, y, workspace);
      keep(y.data());
    }
  }
  bool is_right() {
    run();
    return is_after(x.transpose().eval(), y.transpose().eval(), step);
  }
  F f;
  oracle::Step step;
  Eigen::VectorXf x = normal(100, 1, 5), y = Eigen::VectorXf::Zero(100);
  fg::Workspace workspace;
};

class DenseWords {
 public:
  explicit DenseWords(WordTable& table) : table_(table) {
    table_.floor("copy", [] { return std::make_unique<Copy<Matrix>>(); });
    table_.floor("copy of doubles", [] { return std::make_unique<Copy<MatrixD>>(); });
    table_.floor("copy of columns", [] { return std::make_unique<Copy<Columns>>(); });
  }

  /// A matrix into a matrix.
  template <class Stage>
  void add(const char* word, const char* what, Stage stage, const oracle::Step& step, Bounds bounds) {
    table_.at_most(word, what, "copy", bounds,
                   [=] { return std::make_unique<Dense<Matrix, Matrix, Stage>>(stage, step); });
  }
  /// The same, and also doubles, and a matrix by columns.
  template <class Stage>
  void add_layouts(const char* word, const char* what, Stage stage, const oracle::Step& step, Bounds bounds) {
    add(word, what, stage, step, bounds);
    const Bounds wider{1.5 * bounds.must, 1.5 * bounds.stretch};
    table_.at_most(word, std::string(what) + ", double", "copy of doubles", wider,
                   [=] { return std::make_unique<Dense<MatrixD, MatrixD, Stage>>(stage, step); });
    table_.at_most(word, std::string(what) + ", by columns", "copy of columns", wider,
                   [=] { return std::make_unique<Dense<Columns, Columns, Stage>>(stage, step); });
  }
  /// A matrix into a sparse one.
  template <class Stage>
  void add_sparse(const char* word, const char* what, Stage stage, const oracle::Step& step) {
    const std::string floor = std::string(word) + ", dense, and writing the entries";
    table_.floor(floor, [=] { return std::make_unique<DenseAndWrite<Stage>>(stage, step); });
    using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
    table_.at_most(word, what, floor, {1.5, 1.0},
                   [=] { return std::make_unique<Dense<Matrix, Sparse, Stage>>(stage, step); });
  }

 private:
  using MatrixD = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Columns = Eigen::MatrixXf;
  WordTable& table_;
};

void add_vectors(WordTable& table) {
  const auto by_eigen = [](const Eigen::VectorXf& x, Eigen::VectorXf& y, fg::Workspace&) {
    y = (x.array() > 0.5F).select(x, 0.0F);
  };
  const auto by_word = [](const Eigen::VectorXf& x, Eigen::VectorXf& y, fg::Workspace& workspace) {
    y = (x | fg::threshold(0.5)).with(workspace);
  };
  const auto make = [](auto f) {
    return [=] { return std::make_unique<Vector<decltype(f)>>(f, oracle::threshold(0.5)); };
  };
  table.floor("100 numbers by Eigen", make(by_eigen));
  table.at_most("threshold(t)", "100 numbers", "100 numbers by Eigen", {8, 4}, make(by_word));
}

}  // namespace

void add_dense_words(WordTable& table) {
  DenseWords words(table);
  words.add_layouts("threshold(t)", "t = 1", fg::threshold(1), oracle::threshold(1), {1.3, 1.1});
  words.add("relu()", "dense", fg::relu(), oracle::relu(), {1.3, 1.1});
  words.add("hard_threshold(t)", "t = 1", fg::hard_threshold(1), oracle::hard_threshold(1), {1.3, 1.1});
  words.add("soft_threshold(t)", "t = 1", fg::soft_threshold(1), oracle::soft_threshold(1), {1.3, 1.1});
  words.add_layouts("softmax({.sink})", "dense", fg::softmax(), oracle::softmax(), {3, 2.2});
  words.add("sparsemax()", "dense", fg::sparsemax(), oracle::sparsemax(), {8, 5});
  words.add("entmax15()", "dense", fg::entmax15(), oracle::entmax15(), {10, 6});
  words.add("entmax(alpha)", "alpha = 1.3", fg::entmax(1.3), oracle::entmax(1.3), {60, 30});
  words.add("normalize_sum()", "after relu, dense", fg::relu() | fg::normalize_sum(),
            [](oracle::Table& t) { oracle::relu()(t), oracle::normalize_sum()(t); }, {3, 2});
  words.add_layouts("top_k(k)", "k = 32, dense", fg::top_k(32), oracle::top_k(32), {4.5, 3.5});
  words.add("top_k(k)", "k = 512, dense", fg::top_k(512), oracle::top_k(512), {6, 5});
  words.add("drop_lowest(fraction)", "0.9, dense", fg::drop_lowest(0.9), oracle::drop_lowest(0.9), {6, 5});
  for (const double p : {0.5, 0.9})
    words.add("top_p(p)", p == 0.5 ? "p = 0.5, dense" : "p = 0.9, dense", fg::top_p(p), oracle::top_p(p), {12, 8});
  const auto pruned = [&](const char* what, Index n, Index m) {
    words.add("prune_n_m(n, m)", what, fg::prune_n_m(n, m), oracle::prune_n_m(n, m), {3, 1.5});
  };
  pruned("2:4", 2, 4);
  pruned("1:4", 1, 4);
  pruned("4:8", 4, 8);
  words.add("prune_magnitude(fraction)", "0.9", fg::prune_magnitude(0.9), oracle::prune_magnitude(0.9), {10, 6});
  words.add("batch_top_k(k)", "k = 32", fg::batch_top_k(32), oracle::batch_top_k(32), {10, 6});
  words.add("winner_take_all(fraction)", "0.05", fg::winner_take_all(0.05), oracle::winner_take_all(0.05), {20, 12});
  words.add("dropout(p, seed)", "p = 0.1, dense", fg::dropout(0.1, 7), oracle::dropout(0.1, 7), {5, 3});

  words.add("softcap(c)", "c = 30, dense", fg::softcap(30), oracle::softcap(30), {3, 2});
  const auto accurate = [](auto f) {
    return oracle::map([=](oracle::Real s, Index, Index) { return oracle::Real(f(s)); }, oracle::Rounding::accurate);
  };
  words.add("tanh()", "dense", fg::tanh(), accurate([](auto s) { return std::tanh(s); }), {3, 2});
  words.add("sigmoid()", "dense", fg::sigmoid(), accurate([](auto s) { return 1 / (1 + std::exp(-s)); }), {3, 2});
  // A relative error of the probability is an absolute one of the product.
  const auto probable = [](auto probability) -> oracle::Step {
    return [=](oracle::Table& t) {
      for (oracle::Entry& e : t.cells) {
        e.error = 8 * t.eps() * std::abs(e.value);
        e.value *= probability(static_cast<double>(e.value));
      }
    };
  };
  words.add("gelu()", "dense", fg::gelu(), probable([](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }),
            {6, 4});
  words.add("silu()", "dense", fg::silu(), probable([](double x) { return 1 / (1 + std::exp(-x)); }), {6, 4});
  words.add("gelu_tanh()", "dense", fg::gelu_tanh(), probable([](double x) {
              return (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x))) / 2;
            }),
            {4, 3});

  words.add_sparse("threshold(t)", "t = 1, into a sparse matrix", fg::threshold(1), oracle::threshold(1));
  words.add_sparse("top_k(k)", "k = 32, into a sparse matrix", fg::top_k(32), oracle::top_k(32));
  words.add_sparse("prune_n_m(n, m)", "2:4, into a sparse matrix", fg::prune_n_m(2, 4), oracle::prune_n_m(2, 4));
  words.add_sparse("prune_magnitude(fraction)", "0.9, into a sparse matrix", fg::prune_magnitude(0.9),
                   oracle::prune_magnitude(0.9));
  words.add_sparse("softmax({.sink})", "into a sparse matrix", fg::softmax(), oracle::softmax());
  add_vectors(table);
}

}  // namespace bench
