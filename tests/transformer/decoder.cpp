// SPDX-License-Identifier: MIT
// A network that is decoded token by token has the bits of the network for all tokens.
#include <filigree/filigree.hpp>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

constexpr Index length = 83, d = 8;

/// Decodes x in calls of the given numbers of tokens, and compares the outputs with those of the network.
template <class Net, class X>
void check_chunks(const Net& net, const X& x, const Matrix<typename Net::Scalar>& expected,
                  const std::vector<Index>& chunks) {
  fg::Decoder decoder(net);
  Matrix<typename Net::Scalar> outputs(x.rows(), net.outputs());
  Index at = 0;
  for (const Index count : chunks) {
    outputs.middleRows(at, count) = decoder(x.middleRows(at, count));
    at += count;
    REQUIRE(decoder.size() == at);
  }
  REQUIRE(at == x.rows());
  CHECK(test::same(outputs, expected));
}

template <class Net>
void check_network(const Net& net, Random& random, Index n = length) {
  using S = typename Net::Scalar;
  const Matrix<S> x = test::normal<S>(random, n, net.inputs()), expected = net(x);
  check_chunks(net, x, expected, {n});
  check_chunks(net, x, expected, std::vector<Index>(static_cast<std::size_t>(n), 1));
  check_chunks(net, x, expected, {1, 0, 40, 2, n - 43});
}

template <class Head>
void check_head(const Head& head, Random& random) {
  const auto layer = fg::transformer_layer(d, fg::heads{4, 2}, 12, head, {.dropout = 0.2, .rotary = fg::rotary(2)});
  check_network(fg::network(fg::linear(3, d) | fg::repeat(2, layer) | fg::layer_norm(d) | fg::linear(d, 3), 5), random);
}

}  // namespace

TEST_CASE("decoding has the bits of the network for all tokens, for every causal pattern") {
  Random random(2001);
  check_head(fg::causal() | fg::softmax(), random);
  check_head((fg::window(6) && fg::causal()) | fg::softmax(), random);
  check_head(fg::streaming(2, 9) | fg::softmax(), random);
  check_head(fg::causal() | fg::top_k(5) | fg::softmax(), random);
  check_head(fg::sparse_transformer_strided(7) | fg::softmax(), random);
  check_head(fg::causal() | fg::softmax() | fg::dropout(0.3, 1), random);
  check_head([](Index i) { return (fg::causal() && fg::window(3 * i + 1)) | fg::sparsemax(); }, random);
}

TEST_CASE("decoding continues positions") {
  Random random(2002);
  const auto head = fg::causal() | fg::softmax();
  check_network(
      fg::network(fg::positions::learned<double>(length, d) |
                      fg::attention<double>(d, fg::heads{2}, head,
                                            {.width = 6, .rotary = fg::rotary(4, 50, fg::rotary_pairs::adjacent)}),
                  6),
      random);
  check_network(fg::network(fg::positions::sinusoidal(d) |
                                fg::repeat(3, fg::transformer_layer(d, fg::heads{1}, 9, head), {.recompute = true}),
                            7),
                random, 600);  // more keys than a chunk of sums
}

TEST_CASE("a decoder of ids can be truncated, cleared, copied and slid") {
  Random random(2003);
  const auto head = fg::streaming(1, 6) | fg::softmax();
  const auto net = fg::network(
      fg::embedding(11, d) | fg::positions::sinusoidal(d) | fg::attention(d, fg::heads{2}, head) | fg::linear(d, 11),
      8);
  Eigen::VectorXi ids(length);
  for (Index i = 0; i < length; ++i) ids[i] = static_cast<int>(random.between(0, 10));
  const Matrix<float> expected = net(fg::Batch{ids, {length}});
  fg::thread_pool pool(3);
  fg::Decoder decoder(net, {.capacity = length, .executor = fg::ExecutorRef(pool)});
  CHECK(decoder.size() == 0);
  CHECK(decoder.caches().empty());
  CHECK(test::same(decoder(ids.head(50)), Matrix<float>(expected.topRows(50))));
  CHECK(decoder.caches().size() == 1);
  CHECK(decoder.caches()[0].capacity() >= length);

  decoder.truncate(20);
  CHECK(decoder.size() == 20);
  fg::Decoder copy = decoder;
  CHECK(test::same(decoder(ids.segment(20, 9)), Matrix<float>(expected.middleRows(20, 9))));
  CHECK(copy.size() == 20);
  for (Index i = 20; i < length; ++i) {
    CHECK(test::same(copy(ids[i]), Matrix<float>(expected.row(i))));
    copy.slide(1, 5);
  }
  CHECK(copy.caches()[0].dropped() == fg::Range{1, length - 5});
  CHECK(test::same(decoder(ids.segment(29, 1)), Matrix<float>(expected.row(29))));
  copy = decoder;
  CHECK(test::same(copy(ids.segment(30, 3)), Matrix<float>(expected.middleRows(30, 3))));

  decoder.clear();
  CHECK(decoder.size() == 0);
  CHECK(test::same(decoder(ids), expected));
}

TEST_CASE("an error in a call leaves the sequence of a decoder unchanged") {
  Random random(2004);
  const auto layer = fg::attention(d, fg::heads{2}, fg::causal() | fg::softmax());
  const auto net = fg::network(layer | fg::positions::learned(10, d) | layer, 9);
  const Matrix<float> x = test::normal<float>(random, 10, d), expected = net(x);
  fg::Decoder decoder(net);
  const Matrix<float> first = decoder(x.topRows(7));
  CHECK_THROWS_WITH(decoder(x.topRows(4)),
                    "filigree: positions::learned(10, 8): a sequence has 11 tokens, more than the 10 positions");
  CHECK_THROWS_WITH(decoder(Matrix<float>(1, 3)), "filigree: decoder(X): X.cols() = 3 must be 8");
  CHECK_THROWS_WITH(decoder(4), "filigree: decoder(X): X.cols() = 1 must be 8");
  CHECK(decoder.size() == 7);
  CHECK(decoder(x.topRows(0)).rows() == 0);
  CHECK(test::same(decoder(x.bottomRows(3)), Matrix<float>(expected.bottomRows(3))));
  CHECK_THROWS_WITH(decoder.truncate(11),
                    "filigree: decoder.truncate(tokens): tokens must be between 0 and the 10 tokens of the sequence, "
                    "got 11");
  CHECK_THROWS_WITH(decoder.truncate(-1), contains("must be between 0 and the 10 tokens"));
}

namespace {

template <class Head>
void make_decoder(const Head& head) {
  const auto net = fg::network(fg::attention(d, fg::heads{2}, head));
  fg::Decoder decoder(net);
}

/// A layer that reads the order of tokens, and does not know of decoders.
struct Reverse {
  using Category = fg::Layer;
  template <class>
  struct State {
    void forward(const Reverse&, fg::Context<float>&) {}
  };
  static constexpr bool reads_sequences = true;
  [[nodiscard]] Index outputs(Index columns) const { return columns; }
  [[nodiscard]] Index parameter_count() const { return 0; }
  void initialize(float*, fg::Generator&) const {}
};

}  // namespace

TEST_CASE("a decoder rejects layers that need later tokens") {
  CHECK_THROWS_WITH(make_decoder(fg::softmax()),
                    "filigree: Decoder: attention must be causal, but token 0 attends to token 1; begin the pipeline "
                    "with causal() and a pattern");
  CHECK_THROWS_WITH(make_decoder([](Index i) { return fg::window(20 * i, 4 * i) | fg::softmax(); }),
                    contains("token 0 attends to token 1;"));
  CHECK_THROWS_WITH(make_decoder((fg::causal() || fg::global({5})) | fg::softmax()),
                    contains("must be causal, but token 0 attends to token 5;"));
  CHECK_THROWS_WITH(
      make_decoder((fg::causal() && (fg::window(1) || fg::global({-1}))) | fg::softmax()),
      contains("must not depend on the length of the sequence, but token 2 does not attend to token 0 in a "
               "sequence of 64 tokens only"));
  CHECK_THROWS_WITH(make_decoder((fg::causal() && fg::random(3, 1)) | fg::softmax()),
                    contains("must not depend on the length of the sequence"));
  CHECK_THROWS_WITH(make_decoder(fg::causal() | fg::block_top_k(4, 2) | fg::softmax()),
                    "filigree: Decoder: attention must not have a router, such as prob_sparse or block_top_k, since it "
                    "chooses by all tokens of a sequence");
  CHECK_THROWS_WITH(make_decoder(fg::random(Eigen::MatrixXi::Zero(5, 1)) | fg::softmax()),
                    contains("Decoder: a stage of attention is for scores of one shape: filigree: random(indices): "));
  const auto reversed = fg::network(fg::linear(2, 2) | Reverse{});
  CHECK_THROWS_WITH(fg::Decoder(reversed),
                    "filigree: Decoder(network): stage 1 depends on the order of tokens, but has no check_decoding()");
  const auto net = fg::network(fg::linear(2, 2));
  CHECK_THROWS_WITH(fg::Decoder(net, {.capacity = -1}),
                    "filigree: Decoder(network, {.capacity}): must be at least 0, got -1");
  auto positive = fg::network(fg::linear(2, 2).non_negative());
  positive.parameters().setConstant(-1);
  CHECK_THROWS_WITH(fg::Decoder(positive), contains("must satisfy the constraints of their layers; call "
                                                    "network.constrain()"));
}
