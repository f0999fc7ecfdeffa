// SPDX-License-Identifier: MIT
#include "filigree/retrieval/sparse_index_file.hpp"

#include <filigree/retrieval/sparse_scores.hpp>
#include <string>
#include <vector>

#include "io/files.hpp"

namespace fg = filigree;
using Eigen::Index;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

namespace {

Sparse documents(Index n) {
  Sparse x(n, 7);
  for (Index j = 0; j < n; ++j)
    for (Index t = j % 3; t < 6; t += 1 + j % 4) x.insert(j, t) = static_cast<float>((j * 7 + t * 5) % 11) - 3.5F;
  return x;
}

bool same(const fg::SparseIndex& a, const fg::SparseIndex& b) {
  if (a.documents() != b.documents() || a.terms() != b.terms() || a.bytes() != b.bytes()) return false;
  const Sparse queries = documents(5);
  const Eigen::MatrixXf x = fg::sparse_scores(queries, a) | fg::top_k(20);
  const Eigen::MatrixXf y = fg::sparse_scores(queries, b) | fg::top_k(20);
  return x == y;
}

/// Saves tensors with a right checksum, so that the other checks are reached.
void save(const std::string& path, const fg::Arrays& tensors, Index n, Index terms) {
  fg::save_safetensors(path, tensors, fg::detail::IndexHeader{n, terms}.text(tensors));
}

}  // namespace

TEST_CASE("An index is read as it was written, and grows further") {
  const test::Folder folder;
  for (const Index n : {0, 1, 9000}) {
    fg::SparseIndex index = fg::sparse_index(documents(n));
    fg::save_sparse_index(folder / "index", index);
    fg::SparseIndex read = fg::load_sparse_index(folder / "index");
    CHECK(same(index, read));
    index.add(documents(4500));
    read.add(documents(4500));
    CHECK(same(index, read));
  }
}

TEST_CASE("Damaged files of an index are detected") {
  const test::Folder folder;
  const fg::SparseIndex index = fg::sparse_index(documents(4));
  fg::save_sparse_index(folder / "index", index);
  const std::string text = test::content(folder / "index");
  const auto parse = [](const std::string& changed) {
    return fg::parse_sparse_index(fg::Bytes::copy(changed), "damaged");
  };
  REQUIRE(same(parse(text), index));
  for (std::size_t size = 0; size < text.size(); ++size) REQUIRE_THROWS_AS(parse(text.substr(0, size)), fg::Error);
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const unsigned change : {1U, 2U, 16U, 64U, 128U, 255U}) {
      std::string changed = text;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ change);
      try {
        if (!same(parse(changed), index)) FAIL("byte " << at << ", change " << change);
      } catch (const fg::Error&) {
      }
    }
}

TEST_CASE("Files of an index with a right checksum are checked") {
  const test::Folder folder;
  const std::string path = folder / "index";
  const auto numbers = [](auto first, auto... more) {
    const std::vector<decltype(first)> list{first, more...};
    using Row = Eigen::Matrix<decltype(first), Eigen::Dynamic, 1>;
    return fg::array_of(Eigen::Map<const Row>(list.data(), static_cast<Index>(list.size())));
  };
  const auto begins = numbers(std::int64_t{0}, std::int64_t{2}, std::int64_t{3});
  const auto ids = numbers(0, 4, 1);
  const auto weights = numbers(1.0F, -2.0F, 3.0F);
  save(path, {{"begins", begins}, {"documents", ids}, {"weights", weights}}, 5, 2);
  CHECK(fg::load_sparse_index(path).postings() == 3);
  const auto fails = [&](const fg::NdArray& b, const fg::NdArray& d, const fg::NdArray& w, const char* message,
                         Index terms = 2) {
    save(path, {{"begins", b}, {"documents", d}, {"weights", w}}, 5, terms);
    CHECK_THROWS_WITH(fg::load_sparse_index(path), contains(message));
  };
  fails(begins, numbers(4, 0, 1), weights, "the documents of a term must ascend, those of 0 do not");
  fails(begins, numbers(0, 0, 1), weights, "the documents of a term must ascend");
  fails(begins, numbers(0, 5, 1), weights, "documents[1] must be at least 0 and below 5, is 5");
  fails(begins, numbers(-1, 2, 1), weights, "documents[0] must be at least 0 and below 5, is -1");
  fails(begins, ids, numbers(1.0F, 0.0F, 1.0F), "weights[1] must be finite and not 0, is 0");
  fails(begins, ids, numbers(1.0F, std::nanf(""), 1.0F), "weights[1] must be finite and not 0, is nan");
  fails(begins, ids, numbers(1.0F, 2.0F), "must have shape [3]");
  fails(begins, numbers(0.0F, 4.0F, 1.0F), weights, "must be int32, is float32");
  fails(numbers(std::int64_t{0}, std::int64_t{4}, std::int64_t{3}), ids, weights,
        "begins must not decrease, does at 2");
  fails(numbers(std::int64_t{1}, std::int64_t{2}, std::int64_t{3}), ids, weights, "begins must be from 0 to 3");
  fails(numbers(std::int64_t{0}, std::int64_t{2}, std::int64_t{9}), ids, weights, "begins must be from 0 to 3");
  fails(begins, ids, weights, "must have shape [4]", 3);
  fg::save_safetensors(path, {{"begins", begins}, {"documents", ids}, {"weights", weights}});
  CHECK_THROWS_WITH(fg::load_sparse_index(path), contains("must be a file of save_sparse_index, has no \"format\""));
}
