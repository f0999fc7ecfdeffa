// SPDX-License-Identifier: MIT
#include "filigree/io/array.hpp"

#include <cmath>
#include <limits>

#include "catch.hpp"
#include "filigree/io/arrays.hpp"

namespace fg = filigree;
using fg::Index;
using fg::Type;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using HalfMatrix = Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic>;
using BrainMatrix = Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic>;

namespace {

constexpr Type all_types[] = {Type::boolean,  Type::int8,    Type::int16,  Type::int32,  Type::int64,
                              Type::uint8,    Type::uint16,  Type::uint32, Type::uint64, Type::float16,
                              Type::bfloat16, Type::float32, Type::float64};

/// Returns the double that is `steps` representable numbers above x.
double nudged(double x, int steps) {
  for (int i = 0; i < steps; ++i) x = std::nextafter(x, std::numeric_limits<double>::infinity());
  for (int i = 0; i > steps; --i) x = std::nextafter(x, -std::numeric_limits<double>::infinity());
  return x;
}

}  // namespace

TEST_CASE("array_of stores the rows of a matrix in sequence, for any storage order") {
  const Eigen::MatrixXf x = (Eigen::MatrixXf(2, 3) << 1, 2, 3, 4, 5, 6).finished();
  const RowMajor y = x;
  const fg::NdArray a = fg::array_of(x), b = fg::array_of(y);
  CHECK(a.type == Type::float32);
  CHECK(a.shape == std::vector<Index>{2, 3});
  CHECK(a.size() == 6);
  CHECK(a.bytes.text() == b.bytes.text());
  CHECK(a.map<RowMajor>() == y);
  CHECK(a.as<Eigen::MatrixXf>() == x);
  CHECK(a.as<RowMajor>() == y);
  CHECK(a.as<Eigen::MatrixXd>() == x.cast<double>());
  CHECK(a.as<Eigen::Matrix<double, 2, 3>>() == x.cast<double>());
  CHECK((a.as<Eigen::ArrayXXf>() == x.array()).all());
}

TEST_CASE("array_of accepts any dense expression") {
  const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
  CHECK(fg::array_of(x.transpose() * x).as<Eigen::MatrixXd>() == Eigen::MatrixXd(x.transpose() * x));
  CHECK(fg::array_of(x.block(1, 1, 2, 2)).as<Eigen::MatrixXd>() == x.block(1, 1, 2, 2));
  CHECK((fg::array_of(x.array().square()).as<Eigen::ArrayXXd>() == x.array().square()).all());
  CHECK(fg::array_of(x.array() > 0).type == Type::boolean);
  CHECK(fg::array_of(x.row(2)).shape == std::vector<Index>{3});
  CHECK(fg::array_of(x.col(2)).shape == std::vector<Index>{4});
  CHECK(fg::array_of(Eigen::MatrixXd(0, 5)).shape == std::vector<Index>{0, 5});
  CHECK(fg::array_of(Eigen::Matrix<long long, 2, 1>(1, -2)).type == Type::int64);
}

TEST_CASE("an array of one dimension converts to a column or a row, and one without dimensions to one number") {
  const fg::NdArray a = fg::array_of(Eigen::Vector3d(1, 2, 3));
  CHECK(a.as<Eigen::VectorXd>() == Eigen::Vector3d(1, 2, 3));
  CHECK(a.as<Eigen::RowVectorXd>() == Eigen::RowVector3d(1, 2, 3));
  CHECK(a.as<Eigen::MatrixXd>() == Eigen::Vector3d(1, 2, 3));
  CHECK(a.map<Eigen::RowVectorXd>() == Eigen::RowVector3d(1, 2, 3));
  CHECK(a.reshaped({3, 1}).as<Eigen::VectorXd>() == Eigen::Vector3d(1, 2, 3));
  const fg::NdArray one = fg::array_of(Eigen::Matrix<double, 1, 1>(7)).reshaped({});
  CHECK(one.as<Eigen::MatrixXd>()(0, 0) == 7);
  CHECK(one.as<Eigen::VectorXd>()(0) == 7);
}

TEST_CASE("shapes that do not match are rejected with the name of the array") {
  fg::NdArray a = fg::array_of(Eigen::MatrixXd(2, 3).setZero());
  a.name = "W";
  CHECK_THROWS_WITH(a.as<Eigen::VectorXd>(), "filigree: W: must be n x 1, has shape (2, 3)");
  CHECK_THROWS_WITH(a.as<Eigen::Matrix3d>(), "filigree: W: must be 3 x 3, has shape (2, 3)");
  using Small = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, 2, 2>;
  CHECK_THROWS_WITH(a.as<Small>(), "filigree: W: must be n x m, has shape (2, 3)");
  CHECK_THROWS_WITH(a.reshaped({1, 2, 3}).as<Eigen::MatrixXd>(),
                    "filigree: W: must have at most 2 dimensions to become a matrix, has shape (1, 2, 3): "
                    "use reshaped(shape)");
  CHECK_THROWS_WITH(a.reshaped({4, 2}), "filigree: W: has shape (2, 3) and cannot be reshaped to (4, 2)");
  CHECK_THROWS_WITH(a.reshaped({-2, -3}), "filigree: W: has shape (2, 3) and cannot be reshaped to (-2, -3)");
  CHECK_THROWS_WITH(a.map<RowMajor>(), "filigree: W: must be float32 to be mapped, is float64");
  a.shape = {Index{1} << 40, Index{1} << 40};
  CHECK_THROWS_WITH(a.check(), "filigree: W: has an impossible shape, (1099511627776, 1099511627776)");
  a.shape = {2, 4};
  CHECK_THROWS_WITH(a.check(), "filigree: W: float64 of shape (2, 4) needs 64 bytes, has 48");
  a.shape = {5};
  a.bytes = a.bytes.slice(4, 40);
  using Vector = Eigen::VectorXd;
  CHECK_THROWS_WITH(a.map<Vector>(), "filigree: W: its bytes must be aligned to 8 to be mapped: use as<M>()");
  CHECK(a.as<Vector>().size() == 5);
}

TEST_CASE("small integers convert between all types, except from floating point to integers") {
  const Eigen::MatrixXi x = (Eigen::MatrixXi(2, 2) << 1, 0, 1, 1).finished();
  for (const Type type : all_types) {
    INFO(fg::name_of(type));
    const fg::NdArray a = fg::array_of(x, type);
    CHECK(a.type == type);
    CHECK(a.bytes.size() == 4 * fg::bytes_each(type));
    CHECK(a.as<Eigen::MatrixXd>() == x.cast<double>());
    CHECK(a.as<HalfMatrix>().cast<int>() == x);
    CHECK(a.as<BrainMatrix>().cast<int>() == x);
    if (type < Type::float16) {
      CHECK(a.as<Eigen::MatrixXi>() == x);
      CHECK(a.as<Eigen::Matrix<bool, 2, 2>>().cast<int>() == x);
      CHECK(a.as<Eigen::Matrix<std::uint8_t, 2, 2>>().cast<int>() == x);
    } else {
      CHECK_THROWS_WITH(a.as<Eigen::MatrixXi>(), contains("does not convert to int32: use a floating-point matrix"));
    }
  }
}

TEST_CASE("integers out of range are rejected") {
  const fg::NdArray a = fg::array_of(Eigen::RowVector2i(100, 300));
  CHECK_THROWS_WITH((a.as<Eigen::Matrix<std::int8_t, 1, 2>>()),
                    "filigree: array: the number at (0, 1) must fit int8, got 300");
  CHECK_THROWS_WITH((a.as<Eigen::Matrix<bool, 1, 2>>()), contains("must fit bool, got 100"));
  const Eigen::RowVector2i negative(1, -1);
  CHECK_THROWS_WITH(fg::array_of(negative, Type::uint64),
                    "filigree: array_of(x, type): x(0, 1) must fit uint64, got -1");
  CHECK_THROWS_WITH(fg::array_of(Eigen::Vector2d(1, 2), Type::int32),
                    "filigree: array_of(x, type): float64 does not convert to int32");
  const Eigen::Matrix<std::uint64_t, 1, 1> large(std::numeric_limits<std::uint64_t>::max());
  CHECK_THROWS_WITH(fg::array_of(large, Type::int64), contains("must fit int64, got 18446744073709551615"));
  CHECK(fg::array_of(large).as<Eigen::VectorXd>()(0) == 18446744073709551616.0);
}

TEST_CASE("a double is rounded to 16 bits once, not twice by way of float") {
  // The middle between two neighbors is rounded to the even one, and a number next to it to the nearer one. The scales
  // range from the smallest to the largest numbers.
  for (const double scale : {1.0, -1.0, 0x1p-24, 0x1p-14, 0x1p10, 0x1p15}) {
    for (int k = 0; k < 64; ++k) {
      const double step = scale * 0x1p-10, low = scale + k * step;  // neighbors in half if the scale is a normal number
      if (std::abs(scale) < 0x1p-13) continue;
      const double middle = low + step / 2;
      const auto rounded = [](double x) {
        return static_cast<double>(
            fg::array_of(Eigen::Matrix<double, 1, 1>(x), Type::float16).as<Eigen::VectorXd>()(0));
      };
      INFO(middle);
      const int away = scale < 0 ? -1 : 1;
      CHECK(rounded(middle) == (k % 2 == 0 ? low : low + step));
      CHECK(rounded(nudged(middle, away)) == low + step);
      CHECK(rounded(nudged(middle, -away)) == low);
    }
  }
  const auto brain = [](double x) {
    return fg::array_of(Eigen::Matrix<double, 1, 1>(x), Type::bfloat16).as<Eigen::VectorXd>()(0);
  };
  CHECK(brain(1 + 0x1p-8) == 1);
  CHECK(brain(nudged(1 + 0x1p-8, 1)) == 1 + 0x1p-7);
  CHECK(brain(-nudged(1 + 0x1p-8, 1)) == -(1 + 0x1p-7));
  CHECK(brain(1e300) == std::numeric_limits<double>::infinity());
  CHECK(brain(0x1p-200) == 0);
  CHECK(std::isnan(brain(std::numeric_limits<double>::quiet_NaN())));
  CHECK(brain(-std::numeric_limits<double>::infinity()) == -std::numeric_limits<double>::infinity());
}

TEST_CASE("any nonzero byte is a true bool") {
  fg::NdArray a = fg::array_of(Eigen::Matrix<bool, 3, 1>(false, true, true));
  a.bytes = fg::Bytes::copy(std::string("\0\2\xFF", 3));
  CHECK(a.as<Eigen::VectorXi>() == Eigen::Vector3i(0, 1, 1));
}

TEST_CASE("arrays are found by their names") {
  fg::Arrays arrays{{"b", fg::array_of(Eigen::Vector2d(1, 2))}, {"a", fg::array_of(Eigen::Vector3f(1, 2, 3))}};
  CHECK(arrays.size() == 2);
  CHECK(arrays.begin()->first == "b");
  CHECK(arrays["a"].size() == 3);
  CHECK(arrays.contains("b"));
  CHECK(!arrays.contains("c"));
  CHECK_THROWS_WITH(arrays["W\n"], "filigree: arrays: has no array \"W?\", has \"b\", \"a\"");
  CHECK_THROWS_WITH(arrays.add("a", {}), "filigree: arrays: must name each array once, has two named \"a\"");
  CHECK_THROWS_WITH(fg::Arrays("f.npz")["x"], "filigree: f.npz: has no array \"x\", has none");
}
