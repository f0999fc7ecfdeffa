// SPDX-License-Identifier: MIT
#include "filigree/io/zlib.hpp"

#include <random>

#include "filigree/io/npz.hpp"
#include "io/files.hpp"

namespace fg = filigree;

namespace {

std::string deflated(const std::string& text, int level = 6) {
  return std::string(fg::zlib{.level = level}.deflate(fg::Bytes::copy(text).span()).text());
}

/// Returns an archive of one compressed entry "a.npy" whose stated size is `size`.
std::string archive(const std::string& packed, const std::string& content, std::uint64_t size) {
  fg::detail::ZipEntry entry;
  entry.name = "a.npy";
  entry.method = fg::detail::ZipEntry::deflated;
  entry.crc = fg::detail::crc32(fg::Bytes::copy(content).span());
  entry.packed = packed.size();
  entry.size = size;
  fg::detail::ZipWriter zip;
  zip.add(entry, {fg::Bytes::copy(packed)});
  std::string text;
  for (const fg::Bytes& piece : std::move(zip).finish()) text += piece.text();
  return text;
}

fg::Arrays parse(const std::string& text) { return fg::parse_npz(fg::Bytes::copy(text), "a.npz", fg::zlib{}); }

std::string npy(const Eigen::VectorXd& x) {
  const auto pieces = fg::detail::npy_pieces(fg::array_of(x), false);
  return std::string(pieces[0].text()) + std::string(pieces[1].text());
}

}  // namespace

TEST_CASE("compressed arrays are the same after writing and reading, at every level") {
  const test::Folder folder;
  const std::string path = folder / "x.npz";
  const fg::Arrays arrays{{"zeros", fg::array_of(Eigen::VectorXd::Zero(100000))},
                          {"random", fg::array_of(Eigen::MatrixXf::Random(200, 300))},
                          {"empty", fg::array_of(Eigen::MatrixXd(0, 3))},
                          {"one", fg::array_of(Eigen::Matrix<double, 1, 1>(7)).reshaped({})}};
  for (const int level : {0, 1, 6, 9}) {
    fg::save_npz(path, arrays, fg::zlib{.level = level});
    CHECK(test::plain(fg::load_npz(path, fg::zlib{})) == test::plain(arrays));
  }
  fg::save_npz(path, arrays);
  CHECK(test::plain(fg::load_npz(path, fg::zlib{})) == test::plain(arrays));
  CHECK_THROWS_WITH(fg::save_npz(path, arrays, fg::zlib{.level = 10}),
                    "filigree: zlib{level}: level must be from 0 to 9, got 10");
  CHECK(fg::load_npz(path).size() == 4);
}

TEST_CASE("a compressed entry must have exactly the stated size") {
  const std::string content = npy(Eigen::Vector3d(1, 2, 3)), packed = deflated(content);
  CHECK(parse(archive(packed, content, content.size()))["a"].as<Eigen::Vector3d>() == Eigen::Vector3d(1, 2, 3));
  const auto refuses = [&](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(parse(text), "filigree: a.npz: \"a.npy\": " + message);
  };
  const std::string count = std::to_string(packed.size());
  refuses(archive(packed, content, content.size() - 1), count + " bytes must inflate to exactly 151 bytes");
  refuses(archive(packed, content, content.size() + 1), count + " bytes must inflate to exactly 153 bytes");
  refuses(archive(packed + "x", content, content.size()),
          std::to_string(packed.size() + 1) + " bytes must inflate to exactly 152 bytes");
  refuses(archive(packed.substr(0, 40), content, content.size()), "40 bytes must inflate to exactly 152 bytes");
  refuses(archive("", "", 0), "0 bytes must inflate to exactly 0 bytes");
}

TEST_CASE("no memory is allocated for impossible sizes") {
  const std::string content = npy(Eigen::VectorXd::Zero(100000)), packed = deflated(content);
  // More than the largest compression ratio of deflate.
  CHECK_THROWS_WITH(parse(archive(packed, content, 1ULL << 60)),
                    "filigree: a.npz: \"a.npy\": " + std::to_string(packed.size()) +
                        " bytes cannot inflate to 1152921504606846976 bytes");
  // Not the size that the .npy header requires.
  CHECK_THROWS_WITH(parse(archive(packed, content, content.size() + 1)),
                    "filigree: a.npz: \"a.npy\": byte 128: the numbers of shape (100000,) need 800000 bytes, the file "
                    "has 800001");
}

TEST_CASE("damaged files are rejected") {
  const std::string content = npy(Eigen::VectorXd::LinSpaced(20, 0, 1));
  for (const int level : {0, 6}) {
    const std::string text = archive(deflated(content, level), content, content.size());
    test::notices_damage(text, text.size(),
                         [](const fg::Bytes& bytes) { return test::plain(fg::parse_npz(bytes, "a.npz", fg::zlib{})); });
  }
}
