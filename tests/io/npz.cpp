// SPDX-License-Identifier: MIT
#include "filigree/io/npz.hpp"

#include <numeric>

#include "io/files.hpp"

namespace fg = filigree;
using fg::detail::ZipEntry;

namespace {

fg::Arrays parse(const std::string& text) { return fg::parse_npz(fg::Bytes::copy(text), "a.npz"); }

fg::Arrays two_arrays() {
  return {{"W/enc", fg::array_of(Eigen::Matrix2f{{1, 2}, {3, 4}})}, {"b", fg::array_of(Eigen::Vector3d(5, 6, 7))}};
}

std::string joined(const fg::detail::List<fg::Bytes>& pieces) {
  std::string text;
  for (const fg::Bytes& piece : pieces) text += piece.text();
  return text;
}

/// Returns an archive of uncompressed entries with the given names, all with the same array.
std::string archive(const std::vector<std::string>& names, std::uint64_t largest = (1ULL << 31) - 1,
                    std::uint16_t flags = 0) {
  const auto content = fg::Bytes::copy(joined(fg::detail::npy_pieces(fg::array_of(Eigen::Vector2f(1, 2)), false)));
  fg::detail::ZipWriter zip(largest);
  for (const std::string& name : names) {
    ZipEntry entry;
    entry.name = name;
    entry.flags = flags;
    entry.crc = fg::detail::crc32(content.span());
    entry.size = entry.packed = content.size();
    zip.add(entry, {content});
  }
  return joined(std::move(zip).finish());
}

std::string replaced(std::string text, const std::string& before, const std::string& after, std::size_t which = 0) {
  std::size_t at = text.find(before);
  for (; which > 0; --which) at = text.find(before, at + 1);
  REQUIRE(at != std::string::npos);
  return text.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("crc32 is the checksum of zip") {
  const auto crc = [](const std::string& text) { return fg::detail::crc32(fg::Bytes::copy(text).span()); };
  CHECK(crc("") == 0);
  CHECK(crc("123456789") == 0xCBF43926U);
  const std::string text = "The quick brown fox jumps over the lazy dog";
  CHECK(crc(text) == 0x414FA339U);
  for (std::size_t size = 0; size <= text.size(); ++size)
    CHECK(fg::detail::crc32(fg::Bytes::copy(text.substr(size)).span(), crc(text.substr(0, size))) == crc(text));
}

TEST_CASE("arrays are the same after writing and reading, in order and by name") {
  const test::Folder folder;
  const std::string path = folder / "x.npz";
  const fg::Arrays arrays = two_arrays();
  fg::save_npz(path, arrays);
  const fg::Arrays read = fg::load_npz(path);
  CHECK(test::plain(read) == test::plain(arrays));
  CHECK(read.begin()->first == "W/enc");
  CHECK(read["b"].as<Eigen::Vector3d>() == Eigen::Vector3d(5, 6, 7));
  CHECK_THROWS_WITH(read["b"].as<Eigen::Matrix2d>(),
                    "filigree: " + path + ": \"b.npy\": must be 2 x 2, has shape (3,)");
  CHECK_THROWS_WITH(read["c"], "filigree: " + path + ": has no array \"c\", has \"W/enc\", \"b\"");

  fg::save_npz(path, {});
  CHECK(fg::load_npz(path).size() == 0);
  CHECK_THROWS_WITH(fg::save_npz(path, {{"\xFF", {}}}),
                    "filigree: save_npz(path, arrays): the name \"\xFF\" must be UTF-8");
  CHECK_THROWS_WITH(fg::save_npz(path, {{std::string(65532, 'x'), {}}}),
                    "filigree: save_npz(path, arrays): a name must have at most 65531 bytes, has 65532");
}

TEST_CASE("a comment of the archive is skipped") {
  for (const std::size_t length : {1, 21, 22, 65535}) {
    std::string text = archive({"a.npy", "b.npy"}) + std::string(length, 'c');
    const std::size_t at = text.size() - length - 2;
    text[at] = static_cast<char>(length & 0xFF);
    text[at + 1] = static_cast<char>(length >> 8);
    CHECK(parse(text).size() == 2);
    CHECK_THROWS_AS(parse(text + "c"), fg::Error);
    CHECK_THROWS_WITH(parse(text.substr(0, text.size() - 1)), contains("the comment must have "));
  }
}

TEST_CASE("64-bit fields are read and written") {
  for (const std::uint64_t largest : {0ULL, 10ULL, 150ULL, 250ULL, 400ULL}) {
    const std::string text = archive({"a.npy", "b.npy", "c.npy"}, largest);
    CHECK(text.size() > archive({"a.npy", "b.npy", "c.npy"}).size());
    CHECK(parse(text).size() == 3);
    CHECK(parse(text)["c"].as<Eigen::Vector2f>() == Eigen::Vector2f(1, 2));
  }
  std::vector<std::string> names;
  for (int i = 0; i < 65537; ++i) names.push_back(std::to_string(i) + ".npy");
  CHECK(parse(archive(names)).size() == 65537);
  names.resize(65535);
  CHECK(parse(archive(names)).size() == 65535);
}

TEST_CASE("inconsistent archives are rejected with reason and position") {
  const auto refuses = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(parse(text), "filigree: a.npz: " + message);
  };
  const std::string good = archive({"a.npy", "b.npy"});
  CHECK(parse(good).size() == 2);
  refuses("", "must be an .npz file, is empty");
  refuses("PK", "must be a zip archive, has 2 bytes");
  refuses(good + "x", "byte 506: the comment must have 0 bytes, has 1");
  refuses(good.substr(0, 400), "is a zip archive without an end record, probably truncated");
  refuses(good.substr(0, good.size() - 1), "is a zip archive without an end record, probably truncated");
  refuses("x" + good, "the directory must end at byte 485, begins at 382 with 102 bytes");
  refuses(archive({"a.npy", "a.npy"}), "must name each array once, has two named \"a\"");
  refuses(archive({"a.txt"}), "\"a.txt\": must be an .npy file");
  refuses(archive({"folder/"}), "\"folder/\": must be an .npy file");
  refuses(archive({"\xC0\x80.npy"}), "byte 244: the name \"\xC0\x80.npy\" must be UTF-8, is invalid at byte 0");
  refuses(archive({"a.npy"}, 1000, 1), "byte 201: the flags must be within 2062, got 1 (1 is encryption)");
  refuses(replaced(good, "a.npy", "c.npy", 0),
          "byte 55: the name must be that of the directory, \"a.npy\", got \"c.npy\"");
  CHECK_THROWS_WITH(parse(replaced(good, "<f4", "<i4")), contains("a.npz: \"a.npy\": its checksum must be "));

  // Another checksum in the local header; another number of entries; two entries at the same position.
  std::string other = good;
  other[14] = static_cast<char>(other[14] ^ 1);  // the checksum in the first local header
  refuses(other, "byte 55: \"a.npy\": sizes and checksum must be those of the directory");
  const auto counts = [](std::uint16_t count) { return test::raw<std::uint16_t>({0, 0, count, count}); };
  refuses(replaced(good, counts(2), counts(1)), "byte 433: the directory must end after 1 entries, 51 bytes follow");

  const std::string position = test::raw<std::uint32_t>({191}) + "a.npy";
  refuses(replaced(archive({"a.npy", "a.npy"}), position, std::string(4, '\0') + "a.npy"),
          "\"a.npy\" and \"a.npy\" overlap from byte 0 on");
}

TEST_CASE("compressed entries need zlib") {
  std::string text = archive({"a.npy"});
  text[8] = 8;
  text[replaced(text, "PK\1\2", "xxxx").find("xxxx") + 10] = 8;
  CHECK_THROWS_WITH(parse(text), "filigree: a.npz: \"a.npy\": is compressed: pass zlib{} of filigree/io/zlib.hpp too");
}

TEST_CASE("invalid_utf8 accepts the UTF-8 of RFC 3629") {
  using fg::detail::invalid_utf8;
  constexpr std::size_t valid = std::string::npos;
  for (const char* text : {"", "abc", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "a\xC3\xA9z"})
    CHECK(invalid_utf8(text) == valid);
  for (const char* text : {"\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82", "\xE2\x82(",
                           "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF0\x90\x80", "\xFF"})
    CHECK(invalid_utf8("ab" + std::string(text)) == 2);
}

TEST_CASE("damaged files are rejected") {
  const auto read = [](const fg::Bytes& bytes) { return test::plain(fg::parse_npz(bytes, "a.npz")); };
  for (const std::uint64_t largest : {1000U, 0U}) {
    const std::string text = archive({"a.npy", "b.npy"}, largest);
    test::notices_damage(text, text.size(), read);  // the checksum protects the numbers too
  }
}
