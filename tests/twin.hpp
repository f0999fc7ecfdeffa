// SPDX-License-Identifier: MIT
// Twins: an operation of the library together with its reference implementation in oracle.hpp. Composing twins composes
// both.
//
// The classes Any* erase the type of a stage, so that one type of pipeline can hold a random expression that is chosen
// at run time. They are also examples of stages that a user defines.
#pragma once

#include <filigree/filigree.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "inputs.hpp"
#include "oracle.hpp"

namespace test {

namespace fg = filigree;
// The stages below are outside the library's namespace, so its operators are not found by argument-dependent lookup.
using filigree::operator|;
using filigree::operator&&;
using filigree::operator||;
using filigree::operator!;

/// A stage or a pipeline (`word`), its reference implementation and its text in messages.
template <class W>
struct Twin {
  W word;
  oracle::Step step;
  std::string text;
};
/// A pattern, its reference implementation and its text in messages.
template <class W>
struct PatternTwin {
  W word;
  oracle::Predicate keeps;
  std::string text;
  operator Twin<W>() const { return {word, oracle::pattern(keeps), text}; }
};

template <class W>
Twin<W> as_twin(const Twin<W>& t) {
  return t;
}
template <class W>
Twin<W> as_twin(const PatternTwin<W>& t) {
  return t;
}
template <class T>
concept AnyTwin = requires(const T& t) {
  as_twin(t);
  t.text;
};

template <AnyTwin A, AnyTwin B>
auto operator|(const A& x, const B& y) {
  const auto a = as_twin(x);
  const auto b = as_twin(y);
  auto word = a.word | b.word;
  return Twin<decltype(word)>{word, [f = a.step, g = b.step](oracle::Table& t) { f(t), g(t); },
                              a.text + " | " + b.text};
}
template <class A, class B>
auto operator&&(const PatternTwin<A>& a, const PatternTwin<B>& b) {
  auto word = a.word && b.word;
  return PatternTwin<decltype(word)>{
      word, [f = a.keeps, g = b.keeps](const oracle::Table& t, Index p, Index j) { return f(t, p, j) && g(t, p, j); },
      "(" + a.text + " && " + b.text + ")"};
}
template <class A, class B>
auto operator||(const PatternTwin<A>& a, const PatternTwin<B>& b) {
  auto word = a.word || b.word;
  return PatternTwin<decltype(word)>{
      word, [f = a.keeps, g = b.keeps](const oracle::Table& t, Index p, Index j) { return f(t, p, j) || g(t, p, j); },
      "(" + a.text + " || " + b.text + ")"};
}
template <class A>
auto operator!(const PatternTwin<A>& a) {
  auto word = !a.word;
  return PatternTwin<decltype(word)>{
      word, [f = a.keeps](const oracle::Table& t, Index p, Index j) { return !f(t, p, j); }, "!" + a.text};
}

/// The sizes and positions of a problem. Random parameters are drawn to suit them.
struct Shape {
  Index n = 0, m = 0, d = 0, dv = 0;
  Index query_at = 0, key_at = 0;
};

/// A type-erased pattern.
class AnyPattern {
 public:
  using Category = fg::Pattern;

  template <class P>
    requires(fg::PatternStage<P> && !std::same_as<P, AnyPattern>)
  AnyPattern(P pattern) : face_(std::make_shared<Holds<P>>(std::move(pattern))) {}

  bool keeps(Index p, Index j, const fg::Grid& grid) const { return face_->keeps(p, j, grid); }
  void covers(Index p0, Index p1, const fg::Grid& grid, fg::Ranges& out) const { face_->covers(p0, p1, grid, out); }
  void contains(Index p0, Index p1, const fg::Grid& grid, fg::Ranges& out) const { face_->contains(p0, p1, grid, out); }
  void check(const fg::Grid& grid) const { face_->check(grid); }

 private:
  struct Face {
    virtual ~Face() = default;
    virtual bool keeps(Index, Index, const fg::Grid&) const = 0;
    virtual void covers(Index, Index, const fg::Grid&, fg::Ranges&) const = 0;
    virtual void contains(Index, Index, const fg::Grid&, fg::Ranges&) const = 0;
    virtual void check(const fg::Grid&) const = 0;
  };
  template <class P>
  struct Holds : Face {
    explicit Holds(P pattern) : held(std::move(pattern)) {}
    bool keeps(Index p, Index j, const fg::Grid& g) const override { return fg::detail::keeps(held, p, j, g); }
    void covers(Index a, Index b, const fg::Grid& g, fg::Ranges& r) const override {
      fg::detail::covers(held, a, b, g, r);
    }
    void contains(Index a, Index b, const fg::Grid& g, fg::Ranges& r) const override {
      fg::detail::contains(held, a, b, g, r);
    }
    void check(const fg::Grid& g) const override { fg::detail::check(held, g); }
    P held;
  };
  std::shared_ptr<const Face> face_;
};

/// A type-erased score map on scalars S, with its derivative.
template <class S>
struct AnyMap {
  using Category = fg::ScoreMap;
  std::function<S(S, Index, Index, const fg::Grid&)> f;
  std::function<S(S, S, Index, Index, const fg::Grid&)> df;
  std::function<void(const fg::Grid&)> fits;

  template <class M>
  static AnyMap of(M m) {
    return {[m](S s, Index p, Index j, const fg::Grid& g) { return fg::detail::map_at(m, s, p, j, g); },
            [m](S x, S y, Index p, Index j, const fg::Grid& g) { return fg::detail::derivative_at(m, x, y, p, j, g); },
            [m](const fg::Grid& g) { fg::detail::check(m, g); }};
  }
  S map(S s, Index p, Index j, const fg::Grid& grid) const { return f(s, p, j, grid); }
  S derivative(S x, S y, Index p, Index j, const fg::Grid& grid) const { return df(x, y, p, j, grid); }
  void check(const fg::Grid& grid) const { fits(grid); }
};

/// A type-erased sequence of row stages.
template <class S>
struct AnyStages {
  using Category = fg::Normalizer;
  std::vector<std::function<void(fg::Row<S>&)>> stages = {};

  template <class T>
  void add(T stage) {
    stages.push_back([stage](fg::Row<S>& row) { fg::detail::apply(stage, row); });
  }
  void apply(fg::Row<S>& row) const {
    for (const auto& stage : stages) stage(row);
  }
};

inline std::string call(const char* name, std::initializer_list<double> arguments) {
  std::string text = std::string(name) + "(";
  for (const double x : arguments) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%s%.17g", text.back() == '(' ? "" : ", ", x);
    text += digits;
  }
  return text + ")";
}

/// Returns every operation as a twin, with random parameters that suit the shape.
template <class S>
struct Words {
  Random& random;
  Shape shape;

  Index length() { return random.between(0, random.chance(0.5) ? 8 : shape.m + 2); }

  auto causal() { return PatternTwin<fg::Causal>{fg::causal(), oracle::causal(), "causal()"}; }
  auto window() {
    const Index left = length(), right = random.chance(0.5) ? left : length();
    const std::string text = call("window", {double(left), double(right)});
    return PatternTwin<fg::Window>{left == right ? fg::window(left) : fg::window(left, right),
                                   oracle::window(left, right), text};
  }
  auto first() {
    const Index c = length() + (random.chance(0.5) ? shape.key_at : 0);
    return PatternTwin<fg::First>{fg::first(std::max<Index>(c, 0)), oracle::first(std::max<Index>(c, 0)),
                                  call("first", {double(c)})};
  }
  auto global() {
    std::vector<Index> ids;
    std::string text = "global{";
    for (Index count = random.between(0, 3); count > 0; --count) {
      ids.push_back(random.between(-shape.m - 1, std::max<Index>(shape.key_at, 0) + shape.m + 1));
      text += std::to_string(ids.back()) + " ";
    }
    return PatternTwin<fg::Global>{fg::global(ids), oracle::global(ids), text + "}"};
  }
  auto documents() {
    std::vector<int> ids(static_cast<std::size_t>(std::max<Index>(0, shape.key_at + shape.m + random.between(-2, 3))));
    const bool ascending = random.chance(0.6);
    int id = 0;
    for (int& x : ids) x = ascending ? (id += random.chance(0.1) ? 1 : 0) : static_cast<int>(random.between(0, 3));
    auto word = fg::documents(std::vector<int>(ids));
    return PatternTwin<decltype(word)>{word, oracle::documents(ids),
                                       ascending ? "documents(ascending)" : "documents(mixed)"};
  }
  auto same_block() {
    const Index b = random.between(1, random.chance(0.5) ? 7 : 100);
    return PatternTwin<fg::SameBlock>{fg::same_block(b), oracle::same_block(b), call("same_block", {double(b)})};
  }
  auto dilated_window() {
    const Index r = random.between(0, 9), step = random.between(1, 6);
    return PatternTwin<fg::DilatedWindow>{fg::dilated_window(r, step), oracle::dilated_window(r, step),
                                          call("dilated_window", {double(r), double(step)})};
  }
  auto neighborhood() {
    const Index w = length() + 1;
    return PatternTwin<fg::Neighborhood>{fg::neighborhood(w), oracle::neighborhood(w),
                                         call("neighborhood", {double(w)})};
  }
  auto strided() {
    const Index l = random.between(1, random.chance(0.5) ? 7 : 100);
    return PatternTwin<fg::Strided>{fg::strided(l), oracle::strided(l), call("strided", {double(l)})};
  }
  auto columns() {
    const Index l = random.between(1, random.chance(0.5) ? 7 : 100), c = random.between(0, std::min<Index>(l, 3));
    return PatternTwin<fg::Columns>{fg::columns(l, c), oracle::columns(l, c), call("columns", {double(l), double(c)})};
  }
  auto random_keys() {
    const Index r = random.between(0, 5);
    Matrix<Index> indices(shape.n, r);
    std::vector<Index> list;
    for (Index i = 0; i < shape.n; ++i)
      for (Index e = 0; e < r; ++e) list.push_back(indices(i, e) = random.between(-1, shape.m - 1));
    return PatternTwin<fg::RandomIndices>{fg::random(indices), oracle::random(list, r), call("random", {double(r)})};
  }
  auto blocks() {
    const Index b = random.between(1, random.chance(0.5) ? 7 : 100), r = random.between(0, 2);
    const auto word = fg::blocks(b, fg::window(r) || (fg::causal() && fg::strided(3)));
    return PatternTwin<std::remove_const_t<decltype(word)>>{
        word,
        oracle::blocks(b,
                       [=](const oracle::Table& t, Index p, Index j) {
                         return oracle::window(r, r)(t, p, j) || (j <= p && oracle::strided(3)(t, p, j));
                       }),
        call("blocks", {double(b), double(r)})};
  }
  auto where() {
    const Index a = random.between(1, 5), b = random.between(2, 7);
    auto f = [a, b](Index p, Index j) { return ((p * a + j) % b + b) % b < (b + 1) / 2; };
    auto word = fg::where(f);
    return PatternTwin<decltype(word)>{word, [f](const oracle::Table&, Index p, Index j) { return f(p, j); },
                                       call("where", {double(a), double(b)})};
  }
  template <int order = Eigen::RowMajor>
  auto given() {
    std::vector<char> stored(static_cast<std::size_t>(shape.n * shape.m));
    const double density = random.pick({0.02, 0.3, 0.9});
    std::vector<Eigen::Triplet<double>> entries;
    for (Index i = 0; i < shape.n; ++i)
      for (Index c = 0; c < shape.m; ++c)
        if (random.chance(density)) {
          stored[static_cast<std::size_t>(i * shape.m + c)] = 1;
          entries.emplace_back(static_cast<int>(i), static_cast<int>(c), random.chance(0.5) ? 0.0 : 1.0);
        }
    Eigen::SparseMatrix<double, order> s(shape.n, shape.m);
    s.setFromTriplets(entries.begin(), entries.end());
    auto word = fg::given(std::move(s));
    return PatternTwin<decltype(word)>{word, oracle::given(stored), call("given", {density})};
  }

  /// Returns a random expression of patterns.
  PatternTwin<AnyPattern> pattern(int depth = 3) {
    const auto any = [](const auto& t) { return PatternTwin<AnyPattern>{AnyPattern(t.word), t.keeps, t.text}; };
    if (depth > 0 && random.chance(0.6)) {
      const Index operation = random.between(0, 4);
      if (operation < 2) return any(pattern(depth - 1) && pattern(depth - 1));
      if (operation < 4) return any(pattern(depth - 1) || pattern(depth - 1));
      return any(!pattern(depth - 1));
    }
    switch (random.between(0, 15)) {
      case 9: return any(dilated_window());
      case 10: return any(neighborhood());
      case 11: return any(strided());
      case 12: return any(columns());
      case 13: return any(random_keys());
      case 14: return any(blocks());
      case 0: return any(window());
      case 1: return any(first());
      case 2: return any(global());
      case 3: return any(documents());
      case 4: return any(same_block());
      case 5: return any(where());
      case 6: return any(given());
      case 7: return any(this->template given<Eigen::ColMajor>());
      default: return any(causal());
    }
  }

  // Slopes are powers of two, so that contraction of s - slope * distance to a fused multiply-add does not change it.
  auto softcap() {
    const double c = random.pick({0.5, 3.0, 30.0});
    return Twin<fg::Softcap>{fg::softcap(c), oracle::softcap(c), call("softcap", {c})};
  }
  auto alibi() {
    const double slope = std::ldexp(1.0, static_cast<int>(random.between(-8, 0)));
    return Twin<fg::Alibi>{fg::alibi(slope), oracle::alibi(slope), call("alibi", {slope})};
  }
  auto bias() {
    ColMatrix<S> b = numbers<S>(random, shape.n, shape.m, any_kind(random));
    std::vector<oracle::Real> values;
    for (Index i = 0; i < shape.n; ++i)
      for (Index c = 0; c < shape.m; ++c) {
        if (random.chance(0.05)) b(i, c) = -std::numeric_limits<S>::infinity();
        values.push_back(b(i, c));
      }
    auto word = fg::bias(std::move(b));
    return Twin<decltype(word)>{word, oracle::bias(values), "bias(B)"};
  }
  auto relative_bias() {
    const Index r = random.between(0, 20);
    Eigen::Matrix<S, Dynamic, 1> table = normal<S>(random, 2 * r + 1, 1);
    std::vector<oracle::Real> values(table.data(), table.data() + table.size());
    auto word = fg::relative_bias(std::move(table));
    return Twin<decltype(word)>{word, oracle::relative_bias(values), call("relative_bias", {double(r)})};
  }
  auto map() {
    const Index a = random.between(1, 9);
    auto f = [a](S s, Index p, Index j) {
      return (p + 3 * j) % 11 == a ? -std::numeric_limits<S>::infinity() : (j + p) % 3 == 0 ? s / 2 : -s;
    };
    auto df = [](S, Index p, Index j) { return (j + p) % 3 == 0 ? S(0.5) : S(-1); };
    auto word = fg::map(f, df);
    return Twin<decltype(word)>{
        word, oracle::map([f](oracle::Real s, Index p, Index j) { return oracle::Real(f(static_cast<S>(s), p, j)); }),
        call("map", {double(a)})};
  }
  Twin<AnyMap<S>> any_map() {
    const auto any = [](const auto& t) { return Twin<AnyMap<S>>{AnyMap<S>::of(t.word), t.step, t.text}; };
    switch (random.between(0, 4)) {
      case 0: return any(softcap());
      case 1: return any(alibi());
      case 2: return any(bias());
      case 3: return any(relative_bias());
      default: return any(map());
    }
  }

  auto top_k() {
    const Index k = random.chance(0.6) ? random.between(1, 8) : random.between(1, shape.m + 10);
    return Twin<fg::TopK>{fg::top_k(k), oracle::top_k(k), call("top_k", {double(k)})};
  }
  auto threshold() {
    const double t = random.chance(0.2) ? 0.0 : random.chance(0.1) ? -1e30 : random.normal();
    return Twin<fg::Threshold>{fg::threshold(t), oracle::threshold(t), call("threshold", {t})};
  }
  auto relu() { return Twin<fg::Threshold>{fg::relu(), oracle::relu(), "relu()"}; }
  auto hard_threshold() {
    const double t = std::abs(random.normal());
    return Twin<fg::HardThreshold>{fg::hard_threshold(t), oracle::hard_threshold(t), call("hard_threshold", {t})};
  }
  auto soft_threshold() {
    const double t = std::abs(random.normal());
    return Twin<fg::SoftThreshold>{fg::soft_threshold(t), oracle::soft_threshold(t), call("soft_threshold", {t})};
  }
  auto top_p() {
    const double p = random.pick({0.1, 0.5, 0.9, 1.0, 1e-9});
    return Twin<fg::TopP>{fg::top_p(p), oracle::top_p(p), call("top_p", {p})};
  }
  auto drop_lowest() {
    const double f = random.pick({0.0, 0.3, 0.7, 0.29, 1.0});
    return Twin<fg::DropLowest>{fg::drop_lowest(f), oracle::drop_lowest(f), call("drop_lowest", {f})};
  }
  auto prune_n_m() {
    const Index m = random.between(1, 9), n = random.between(1, m);
    return Twin<fg::PruneNM>{fg::prune_n_m(n, m), oracle::prune_n_m(n, m), call("prune_n_m", {double(n), double(m)})};
  }
  auto winner_take_all() {
    const double f = random.pick({0.05, 0.5, 1.0});
    return Twin<fg::WinnerTakeAll>{fg::winner_take_all(f), oracle::winner_take_all(f), call("winner_take_all", {f})};
  }
  auto prune_magnitude() {
    const double f = random.pick({0.0, 0.3, 0.9, 1.0});
    return Twin<fg::PruneMagnitude>{fg::prune_magnitude(f), oracle::prune_magnitude(f), call("prune_magnitude", {f})};
  }
  auto batch_top_k() {
    const Index k = random.between(1, 9);
    return Twin<fg::BatchTopK>{fg::batch_top_k(k), oracle::batch_top_k(k), call("batch_top_k", {double(k)})};
  }

  auto softmax() { return Twin<fg::Softmax>{fg::softmax(), oracle::softmax(), "softmax()"}; }
  auto sink() {
    const double b = 2 * random.normal();
    return Twin<fg::Softmax>{fg::softmax({.sink = b}), oracle::softmax(b), call("softmax sink", {b})};
  }
  auto sparsemax() { return Twin<fg::Sparsemax>{fg::sparsemax(), oracle::sparsemax(), "sparsemax()"}; }
  auto entmax15() { return Twin<fg::Entmax15>{fg::entmax15(), oracle::entmax15(), "entmax15()"}; }
  auto entmax() {
    const double alpha = random.pick({1.1, 1.25, 1.5, 1.7, 2.0});
    return Twin<fg::Entmax>{fg::entmax(alpha), oracle::entmax(alpha), call("entmax", {alpha})};
  }
  auto normalize_sum() {
    return Twin<fg::NormalizeSum>{fg::normalize_sum(), oracle::normalize_sum(), "normalize_sum()"};
  }
  auto dropout() {
    const double p = random.pick({0.0, 0.2, 0.9});
    const std::uint64_t seed = random.bits();
    return Twin<fg::Dropout>{fg::dropout(p, seed), oracle::dropout(p, seed), call("dropout", {p})};
  }

  struct List {
    AnyStages<S> word = {};
    std::vector<oracle::Step> steps = {};
    std::string text = "";
    template <class T>
    void add(const T& t) {
      const auto twin = as_twin(t);
      word.add(twin.word);
      steps.push_back(twin.step);
      text += (text.empty() ? "" : " | ") + twin.text;
    }
    operator Twin<AnyStages<S>>() const {
      return {word,
              [list = steps](oracle::Table& t) {
                for (const auto& step : list) step(t);
              },
              "{" + text + "}"};
    }
  };
  void add_selector(List& list) {
    switch (random.between(0, 6)) {
      case 0: return list.add(top_k());
      case 1: return list.add(threshold());
      case 2: return list.add(hard_threshold());
      case 3: return list.add(soft_threshold());
      case 4: return list.add(top_p());
      case 5: return list.add(drop_lowest());
      default: return list.add(prune_n_m());
    }
  }
  void add_normalizer(List& list) {
    switch (random.between(0, 7)) {
      case 0: return list.add(sink());
      case 1: return list.add(sparsemax());
      case 2: return list.add(entmax15());
      case 3: return list.add(normalize_sum());
      case 4: return list.add(entmax());
      case 5: return;
      default: return list.add(softmax());
    }
  }
  /// Returns random stages that may follow the first selector.
  Twin<AnyStages<S>> tail() {
    List list;
    if (random.chance(0.15)) list.add(pattern(1));
    if (random.chance(0.15)) list.add(any_map());
    if (random.chance(0.2)) add_selector(list);
    add_normalizer(list);
    if (random.chance(0.2)) list.add(dropout());
    if (random.chance(0.1)) add_selector(list);
    if (random.chance(0.05)) list.add(any_map());
    return list;
  }
  /// Returns random stages in random order.
  Twin<AnyStages<S>> anything() {
    List list;
    for (Index count = random.between(0, 4); count > 0; --count) {
      switch (random.between(0, 3)) {
        case 0: list.add(pattern(2)); break;
        case 1: list.add(any_map()); break;
        case 2: add_selector(list); break;
        default: add_normalizer(list); break;
      }
    }
    if (random.chance(0.2)) list.add(dropout());
    return list;
  }
};

// Compiled once: instantiating every operation takes long.
extern template struct Words<float>;
extern template struct Words<double>;

}  // namespace test
