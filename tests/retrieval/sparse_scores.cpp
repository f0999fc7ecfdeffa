// SPDX-License-Identifier: MIT
#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <filigree/core/thread_pool.hpp>
#include <filigree/retrieval/sparse_scores.hpp>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace fg = filigree;
using Eigen::Index;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
using Entries = std::vector<std::pair<Index, float>>;

namespace {

struct Law {
  Index terms = 50;
  int length = 8;
  bool negative = false, whole = false;  // whole numbers make ties
  double scale = 1;
};

/// Random rows. Low terms are more frequent than high ones.
Sparse random_rows(Index n, const Law& law, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  Sparse x(n, law.terms);
  for (Index i = 0; i < n; ++i) {
    std::map<Index, float> row;
    const int count = static_cast<int>(uniform(generator) * law.length * 2);
    for (int e = 0; e < count; ++e) {
      const double u = uniform(generator);
      double w = law.whole ? std::floor(uniform(generator) * 3) : uniform(generator) + 0.01;
      if (law.negative && uniform(generator) < 0.4) w = -w;
      row[static_cast<Index>(u * u * u * static_cast<double>(law.terms))] = static_cast<float>(w * law.scale);
    }
    for (const auto& [t, w] : row) x.insert(i, t) = w;
  }
  x.makeCompressed();
  return x;
}

/// All scores of a query in the order of a ranking, computed document by document.
Entries ranking(const Sparse& queries, const Sparse& documents, Index i) {
  std::map<Index, double> query;
  for (Sparse::InnerIterator e(queries, i); e; ++e)
    if (e.value() != 0) query[e.col()] = static_cast<double>(e.value());
  Entries all;
  for (Index j = 0; j < documents.rows(); ++j) {
    double sum = 0;
    bool found = false;
    for (Sparse::InnerIterator e(documents, j); e; ++e)
      if (const auto q = query.find(e.col()); q != query.end() && e.value() != 0)
        sum += q->second * static_cast<double>(e.value()), found = true;
    if (found) all.emplace_back(j, static_cast<float>(sum));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return all;
}

void require_ranking(const fg::Selected<float>& found, Index i, const Entries& expected, std::size_t count) {
  count = std::min(count, expected.size());
  for (std::size_t r = 0; r < static_cast<std::size_t>(found.columns.cols()); ++r) {
    const auto at = static_cast<Index>(r);
    const bool present = r < count;
    if (found.columns(i, at) != (present ? expected[r].first : -1) ||
        found.weights(i, at) != (present ? expected[r].second : 0))
      FAIL("query " << i << ", rank " << r << ": document " << found.columns(i, at) << ", score "
                    << found.weights(i, at) << " instead of " << (present ? expected[r].first : -1) << ", "
                    << (present ? expected[r].second : 0));
  }
  REQUIRE(found.columns.cols() >= static_cast<Index>(count));
}

}  // namespace

TEST_CASE("sparse_scores | top_k finds the best documents of every kind of weights") {
  const bool negative = GENERATE(false, true), whole = GENERATE(false, true);
  const double scale = GENERATE(1.0, 1e-30, 1e30);
  const Law law{.negative = negative, .whole = whole, .scale = scale};
  const Sparse documents = random_rows(11000, law, 1), queries = random_rows(12, law, 2);
  const auto index = fg::sparse_index(documents);
  std::vector<Entries> expected;
  for (Index i = 0; i < queries.rows(); ++i) expected.push_back(ranking(queries, documents, i));
  for (const Index k : {1, 10, 500, 20000}) {
    CAPTURE(negative, whole, scale, k);
    const auto found = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(k));
    REQUIRE(found.columns.cols() == std::min<Index>(k, 11000));
    for (Index i = 0; i < queries.rows(); ++i)
      require_ranking(found, i, expected[static_cast<std::size_t>(i)], static_cast<std::size_t>(k));
  }
}

TEST_CASE("bounds skip lists of frequent terms with low weights, and nothing else") {
  // Term 0 is in every document with a weight up to 0.1, and terms above 10 are rare and heavy.
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> uniform(0.01F, 1);
  const Index n = 30000, terms = 200;
  Sparse documents(n, terms);
  for (Index j = 0; j < n; ++j) {
    documents.insert(j, 0) = 0.1F * uniform(generator);
    if (j % 3 == 0) documents.insert(j, 1 + j % 7) = 0.2F * uniform(generator);
    if (j % 11 == 0) documents.insert(j, 10 + (j * 7919) % 190) = 1 + uniform(generator);
  }
  Sparse queries(190, terms);
  for (Index i = 0; i < 190; ++i) {
    queries.insert(i, 0) = 1;
    queries.insert(i, 1 + i % 7) = 0.5F;
    queries.insert(i, 10 + i) = uniform(generator);
  }
  const auto index = fg::sparse_index(documents);
  const auto found = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(5));
  for (Index i = 0; i < 190; ++i) require_ranking(found, i, ranking(queries, documents, i), 5);
}

TEST_CASE("sparse_scores | threshold keeps all scores above it") {
  const Law law{.negative = true, .whole = true};
  const Sparse documents = random_rows(5000, law, 3), queries = random_rows(7, law, 4);
  const auto index = fg::sparse_index(documents);
  for (const double t : {-std::numeric_limits<double>::infinity(), -3.0, 0.0, 2.0, 6.0, 1e9}) {
    CAPTURE(t);
    const auto found = fg::selected(fg::sparse_scores(queries, index) | fg::threshold(t));
    for (Index i = 0; i < queries.rows(); ++i) {
      Entries expected = ranking(queries, documents, i);
      std::erase_if(expected, [&](const auto& e) { return !(static_cast<double>(e.second) > t); });
      require_ranking(found, i, expected, expected.size());
    }
  }
}

TEST_CASE("Scores that overflow or cancel are those of double") {
  Sparse documents(3, 3), query(1, 3);
  documents.insert(0, 0) = 3e38F, documents.insert(0, 1) = 3e38F;
  documents.insert(1, 0) = 1, documents.insert(1, 1) = 1, documents.insert(1, 2) = 1;
  documents.insert(2, 0) = 3e38F;
  query.insert(0, 0) = 1e10F, query.insert(0, 1) = -1e10F, query.insert(0, 2) = 1;
  const auto index = fg::sparse_index(documents);
  const auto found = fg::selected(fg::sparse_scores(query, index) | fg::top_k(3));
  CHECK(found.columns == (Eigen::Matrix<Index, 1, 3>() << 2, 1, 0).finished());
  CHECK(found.weights(0, 0) == std::numeric_limits<float>::infinity());
  CHECK(found.weights(0, 1) == 1);
  CHECK(found.weights(0, 2) == 0);
}

TEST_CASE("Results do not depend on threads, the layout of the queries or the type of the target") {
  const Sparse documents = random_rows(9000, {}, 6), queries = random_rows(33, {}, 7);
  const Eigen::SparseMatrix<float> by_columns = queries;
  const auto index = fg::sparse_index(Eigen::SparseMatrix<float>(documents));
  const auto ranking = fg::sparse_scores(queries, index) | fg::top_k(10);
  const Sparse sparse = ranking;
  CHECK(sparse.rows() == 33);
  CHECK(sparse.cols() == 9000);
  fg::thread_pool pool(3);
  const Eigen::SparseMatrix<float> threads = ranking.on(pool);
  const Eigen::MatrixXf dense = fg::sparse_scores(by_columns, index) | fg::top_k(10);
  CHECK(Eigen::MatrixXf(sparse) == dense);
  CHECK(Eigen::MatrixXf(threads) == dense);
  Eigen::MatrixXf sum = Eigen::MatrixXf::Ones(33, 9000);
  sum += ranking;
  CHECK(sum == (dense.array() + 1).matrix());
  Sparse target(1, 1);
  target = fg::sparse_scores(Sparse(queries), fg::sparse_index(documents)) | fg::top_k(10);  // holds both by value
  CHECK(Eigen::MatrixXf(target) == dense);
  const auto list = fg::selected(ranking);
  for (Index i = 0; i < 33; ++i)
    for (Index r = 0; r < 10; ++r)
      if (list.columns(i, r) >= 0) CHECK(dense(i, list.columns(i, r)) == list.weights(i, r));
}

TEST_CASE("add appends documents as if they had been there") {
  const Sparse documents = random_rows(10000, {.negative = true}, 8), queries = random_rows(20, {}, 9);
  const auto whole = fg::sparse_index(documents);
  fg::SparseIndex parts(50);
  for (const auto& [first, count] :
       std::vector<std::pair<Index, Index>>{{0, 3000}, {3000, 0}, {3000, 1500}, {4500, 5500}})
    parts.add(Sparse(documents.middleRows(first, count)));
  CHECK(parts.documents() == 10000);
  CHECK(parts.postings() == whole.postings());
  CHECK(parts.bytes() == whole.bytes());
  CHECK(parts.bytes() > static_cast<std::size_t>(parts.postings()) * 6);
  const auto a = fg::selected(fg::sparse_scores(queries, whole) | fg::top_k(10));
  const auto b = fg::selected(fg::sparse_scores(queries, parts) | fg::top_k(10));
  CHECK(a.columns == b.columns);
  CHECK(a.weights == b.weights);
}

TEST_CASE("Empty indices, queries and rows") {
  fg::SparseIndex index(4);
  CHECK(index.documents() == 0);
  CHECK(index.terms() == 4);
  Sparse queries(2, 4);
  queries.insert(1, 2) = 1;
  auto found = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(3));
  CHECK(found.columns.rows() == 2);
  CHECK(found.columns.cols() == 0);
  Sparse documents(3, 4);
  documents.insert(1, 2) = 2, documents.insert(2, 2) = 0;  // the zero is not stored
  index.add(documents);
  CHECK(index.postings() == 1);
  found = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(2));
  CHECK(found.columns == (Eigen::MatrixXi(2, 2) << -1, -1, 1, -1).finished().cast<Index>());
  const Eigen::MatrixXf none = fg::sparse_scores(Sparse(0, 4), index) | fg::top_k(2);
  CHECK(none.rows() == 0);
  CHECK(none.cols() == 3);
  CHECK(fg::SparseIndex(0).terms() == 0);
}

TEST_CASE("Messages of the sparse index") {
  Sparse x(2, 3);
  x.insert(1, 2) = std::nanf("");
  CHECK_THROWS_WITH(fg::sparse_index(x), contains("documents(1, 2) must be finite, got nan"));
  fg::SparseIndex index(3);
  CHECK_THROWS_WITH(index.add(x), contains("rows(1, 2) must be finite, got nan"));
  CHECK(index.documents() == 0);
  CHECK_THROWS_WITH(index.add(Sparse(1, 4)), contains("rows.cols() = 4 must equal index.terms() = 3"));
  CHECK_THROWS_WITH(fg::sparse_scores(Sparse(1, 4), index) | fg::top_k(1),
                    contains("queries.cols() = 4 must equal index.terms() = 3"));
  CHECK_THROWS_WITH(fg::selected(fg::sparse_scores(x, index) | fg::top_k(1)),
                    contains("queries(1, 2) must be finite, got nan"));
  CHECK_THROWS_WITH(fg::SparseIndex(-1), contains("terms must be at least 0, got -1"));
  const int outer[] = {0, 2}, twice[] = {1, 1}, unsorted[] = {2, 1}, outside[] = {1, 3};
  const float values[] = {1, 2};
  for (const int* inner : {twice, unsorted}) {
    const Eigen::Map<const Sparse> bad(1, 3, 2, outer, inner, values);
    CHECK_THROWS_WITH(fg::sparse_index(bad), contains("the inner indices must ascend"));
    CHECK_THROWS_WITH(fg::selected(fg::sparse_scores(bad, index) | fg::top_k(1)),
                      contains("the inner indices must ascend"));
  }
  CHECK_THROWS_WITH(fg::sparse_index(Eigen::Map<const Sparse>(1, 3, 2, outer, outside, values)),
                    contains("below 3, got 3"));
}
