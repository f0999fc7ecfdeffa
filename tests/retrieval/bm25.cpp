// SPDX-License-Identifier: MIT
#include <Eigen/SparseCore>
#include <cmath>
#include <filigree/retrieval/bm25.hpp>
#include <filigree/retrieval/measures.hpp>
#include <filigree/retrieval/sparse_scores.hpp>
#include <limits>

#include "catch.hpp"

namespace fg = filigree;
using Eigen::Index;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

TEST_CASE("bm25 has the weights of its formula") {
  const Eigen::MatrixXf counts = (Eigen::MatrixXf(4, 3) << 2, 0, 1, 0, 0, 3, 0, 0, 0, 1, 1, 0).finished();
  const Eigen::SparseMatrix<float> by_columns = counts.sparseView();
  for (const auto& [k1, b] : {std::pair{1.2, 0.75}, {0.9, 0.4}, {0.0, 1.0}, {2.0, 0.0}}) {
    const Eigen::MatrixXf weights = fg::bm25(by_columns, {.k1 = k1, .b = b});
    REQUIRE(weights.rows() == 4);
    for (Index j = 0; j < 4; ++j)
      for (Index t = 0; t < 3; ++t) {
        const double tf = static_cast<double>(counts(j, t));
        const double df = static_cast<double>((counts.col(t).array() > 0).count());
        const double length = static_cast<double>(counts.row(j).sum()), mean = 8.0 / 4;
        const double expected =
            tf == 0 ? 0 : std::log(1 + (4 - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * length / mean));
        CHECK(static_cast<double>(weights(j, t)) == Approx(expected).epsilon(1e-6));
      }
  }
  // By hand: term 1 occurs once in one of 4 documents, in a document of the mean length 2.
  const Eigen::MatrixXf weights = fg::bm25(by_columns);
  CHECK(static_cast<double>(weights(3, 1)) == Approx(std::log(1 + 3.5 / 1.5) / 2.2).epsilon(1e-6));
  CHECK(fg::bm25(Sparse(0, 5)).cols() == 5);
  CHECK(fg::bm25(Sparse(2, 5)).nonZeros() == 0);
}

TEST_CASE("Messages of bm25") {
  Sparse x(1, 2);
  x.insert(0, 1) = -1;
  CHECK_THROWS_WITH(fg::bm25(x), contains("counts(0, 1) must be finite and at least 0, got -1"));
  x.coeffRef(0, 1) = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(fg::bm25(x), contains("counts(0, 1) must be finite and at least 0, got inf"));
  CHECK_THROWS_WITH(fg::bm25(x, {.k1 = -1}), contains("k1 must be finite and at least 0, got -1"));
  CHECK_THROWS_WITH(fg::bm25(x, {.b = 1.5}), contains("b must be from 0 to 1, got 1.5"));
  CHECK_THROWS_WITH(fg::bm25(x, {.b = std::nan("")}), contains("b must be from 0 to 1, got nan"));
}

namespace {

/// Three queries: the first finds grades 0, 2, 0, 1 of relevant 3, 2, 1; the second finds nothing; the third has no
/// relevant documents.
struct Judged {
  fg::Selected<float> ranking;
  Sparse judgements{3, 6};
  Judged() {
    ranking.columns.resize(3, 4);
    ranking.columns << 5, 1, 0, 2, 4, -1, -1, -1, 0, 1, 2, 3;
    ranking.weights.setZero(3, 4);
    judgements.insert(0, 0) = 0, judgements.insert(0, 1) = 2, judgements.insert(0, 2) = 1, judgements.insert(0, 3) = 3;
    judgements.insert(1, 5) = 1;
  }
};

}  // namespace

TEST_CASE("recall_at, mrr_at, map_at and ndcg_at have the values computed by hand") {
  const Judged x;
  CHECK(fg::recall_at(1, x.ranking, x.judgements) == 0);
  CHECK(fg::recall_at(2, x.ranking, x.judgements) == Approx((1.0 / 3 + 0) / 2));
  CHECK(fg::recall_at(4, x.ranking, x.judgements) == Approx((2.0 / 3 + 0) / 2));
  CHECK(fg::recall_at(100, x.ranking, x.judgements) == Approx((2.0 / 3 + 0) / 2));
  CHECK(fg::mrr_at(1, x.ranking, x.judgements) == 0);
  CHECK(fg::mrr_at(4, x.ranking, x.judgements) == Approx(0.5 / 2));
  CHECK(fg::map_at(3, x.ranking, x.judgements) == Approx((1.0 / 2) / 3 / 2));
  CHECK(fg::map_at(4, x.ranking, x.judgements) == Approx((1.0 / 2 + 2.0 / 4) / 3 / 2));
  const double found = 2 / std::log2(3.0) + 1 / std::log2(5.0), ideal = 3 + 2 / std::log2(3.0) + 1 / 2.0;
  CHECK(fg::ndcg_at(4, x.ranking, x.judgements) == Approx(found / ideal / 2));
  CHECK(fg::ndcg_at(2, x.ranking, Eigen::SparseMatrix<float>(x.judgements)) ==
        Approx(2 / std::log2(3.0) / (3 + 2 / std::log2(3.0)) / 2));
}

TEST_CASE("A perfect ranking measures 1") {
  Sparse documents(5, 2), queries(1, 2);
  for (Index j = 0; j < 5; ++j) documents.insert(j, 0) = static_cast<float>(j + 1);
  queries.insert(0, 0) = 1;
  const auto index = fg::sparse_index(documents);
  const auto ranking = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(5));
  Sparse judgements(1, 5);
  judgements.insert(0, 3) = 1, judgements.insert(0, 4) = 4;
  CHECK(fg::recall_at(2, ranking, judgements) == 1);
  CHECK(fg::ndcg_at(2, ranking, judgements) == 1);
  CHECK(fg::map_at(2, ranking, judgements) == 1);
  CHECK(fg::mrr_at(1, ranking, judgements) == 1);
}

TEST_CASE("Messages of the measures") {
  Judged x;
  CHECK_THROWS_WITH(fg::recall_at(0, x.ranking, x.judgements), contains("k must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::ndcg_at(1, x.ranking, Sparse(2, 6)), contains("has 3 rows and the judgements 2"));
  CHECK_THROWS_WITH(fg::map_at(1, x.ranking, Sparse(3, 6)), contains("at least one query must have a relevant"));
  CHECK_THROWS_WITH(fg::mrr_at(1, x.ranking, Sparse(3, 5)), contains("must be below judgements.cols() = 5, got 5"));
  x.judgements.coeffRef(1, 5) = -1;
  CHECK_THROWS_WITH(fg::recall_at(1, x.ranking, x.judgements),
                    contains("judgements(1, 5) must be finite and at least"));
}
