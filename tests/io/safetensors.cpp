// SPDX-License-Identifier: MIT
#include "filigree/io/safetensors.hpp"

#include "io/files.hpp"

namespace fg = filigree;
using fg::Index;
using fg::Type;

namespace {

std::string file(const std::string& header, const std::string& data) {
  return test::raw<std::uint64_t>({header.size()}) + header + data;
}
fg::Safetensors parse(const std::string& text) { return fg::parse_safetensors(fg::Bytes::copy(text), "a.st"); }

std::string tensor(const std::string& name, int begin, int end) {
  return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string((end - begin) / 4) +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

const std::string eight = test::raw<float>({1, 2});

void refuses(const std::string& header, const std::string& message) {
  CHECK_THROWS_WITH(parse(file(header, eight)), "filigree: a.st: " + message);
}

}  // namespace

TEST_CASE("tensors and metadata are the same after writing and reading") {
  const test::Folder folder;
  const std::string path = folder / "x.safetensors";
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix W = Matrix::Random(5, 3);
  const fg::Arrays arrays{{"flags", fg::array_of(Eigen::Matrix<bool, 3, 1>(true, false, true))},
                          {"W", fg::array_of(W)},
                          {"odd", fg::array_of(Eigen::Vector3i(1, 2, 3), Type::int8)},
                          {"a\"\n\xC3\xA9", fg::array_of(Eigen::Vector2d(8, 9))},
                          {"none", fg::array_of(Eigen::MatrixXd(0, 3))},
                          {"box", fg::array_of(W).reshaped({5, 1, 3})}};
  fg::save_safetensors(path, arrays, {{"b", "1"}, {"a", "\\"}});
  for (const bool mapped : {false, true}) {
    const fg::Safetensors read = mapped ? fg::map_safetensors(path) : fg::load_safetensors(path);
    CHECK(read.tensors.size() == arrays.size());
    for (const auto& [name, array] : arrays) CHECK(test::plain(read[name]) == test::plain(array));
    CHECK(read.metadata == std::map<std::string, std::string>{{"a", "\\"}, {"b", "1"}});
    CHECK(read["W"].map<Matrix>() == W);
    CHECK(read["a\"\n\xC3\xA9"].map<Eigen::VectorXd>() == Eigen::Vector2d(8, 9));
    CHECK_THROWS_WITH(read["W"].as<Eigen::VectorXf>(),
                      "filigree: " + path + ": \"W\": must be n x 1, has shape (5, 3)");
  }
  {
    // A tensor keeps the file mapped.
    const fg::NdArray kept = fg::map_safetensors(path)["W"];
    CHECK(kept.as<Matrix>() == W);
  }
  fg::save_safetensors(path, {});
  CHECK(test::content(path) == file("{}      ", ""));
  CHECK(fg::load_safetensors(path).tensors.size() == 0);
  CHECK_THROWS_WITH(fg::save_safetensors(path, {{"\xFF", {}}}),
                    "filigree: save_safetensors(path, tensors, metadata): \"\xFF\" must be UTF-8");
  CHECK_THROWS_WITH(fg::save_safetensors(path, {{"__metadata__", {}}}),
                    "filigree: save_safetensors(path, tensors, metadata): no tensor may be named \"__metadata__\"");
  CHECK_THROWS_WITH(fg::save_safetensors(path, {{"x", {.shape = {2}}}}),
                    "filigree: array: float32 of shape (2,) needs 8 bytes, has 0");
}

TEST_CASE("tensors have the order of their bytes, for any order in the header") {
  const fg::Safetensors read = parse(file("{" + tensor("b", 4, 8) + " ,\n" + tensor("a", 0, 4) + "}  ", eight));
  CHECK(read.tensors.begin()->first == "a");
  CHECK(read["b"].as<Eigen::VectorXf>()(0) == 2);
  const std::string none = R"("z":{"shape":[0,9],"data_offsets":[4,4],"dtype":"I64"})";
  CHECK(parse(file("{" + none + "," + tensor("b", 4, 8) + "," + tensor("a", 0, 4) + "}", eight))["z"].size() == 0);
  CHECK(parse(file(R"({"x":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", eight))["x"].shape.empty());
}

TEST_CASE("tensors that overlap, leave a gap or do not fill the file are rejected") {
  refuses("{" + tensor("a", 0, 4) + "}", "the tensors must end at 8, the end of the file, end at 4");
  refuses("{" + tensor("a", 0, 12) + "}", "\"a\": must end between 0 and 8, the end of the file, ends at 12");
  refuses("{" + tensor("a", 4, 8) + "}", "\"a\": must begin at 0, where the previous tensor ends, begins at 4");
  refuses("{" + tensor("a", 0, 4) + "," + tensor("b", 0, 8) + "}",
          "\"b\": must begin at 4, where the previous tensor ends, begins at 0");
  refuses("{" + tensor("a", 0, 8) + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}})",
          "\"b\": must end between 8 and 8, the end of the file, ends at 4");
  refuses("{}", "the tensors must end at 8, the end of the file, end at 0");
  refuses(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
          "\"a\": must begin at 0, where the previous tensor ends, begins at 8");
  refuses(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
          "\"a\": float32 of shape (3,) cannot have 8 bytes");
  refuses(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})",
          "\"a\": float32 of shape (4611686018427387904, 4) cannot have 8 bytes");
}

TEST_CASE("invalid headers are rejected") {
  refuses("{" + tensor("a", 0, 8) + "," + tensor("a", 0, 8) + "}", "the header: the key \"a\" occurs twice");
  refuses(R"({"a":{"dtype":"F32","dtype":"F32"}})", "the header: \"a\": the key \"dtype\" occurs twice");
  refuses(R"({"__metadata__":{"k":"1","k":"2"}})", "the header: \"__metadata__\": the key \"k\" occurs twice");
  refuses(R"({"__metadata__":{"k":1}})", "the header: \"__metadata__\": a number is not allowed here");
  refuses(R"({"__metadata__":{"k":{}}})", "the header: \"__metadata__\": an object is not allowed here");
  refuses(R"({"a":null})", "the header: null is not allowed here");
  refuses(R"({"__metadata__":{"a":null}})", "the header: \"__metadata__\": null is not allowed here");
  refuses(R"({"a":{"dtype":"F32","shape":[2]}})", "the header: \"a\": the tensor lacks \"data_offsets\"");
  refuses(R"({"a":{"type":"F32"}})",
          "the header: \"a\": a key must be \"dtype\", \"shape\" or \"data_offsets\", got \"type\"");
  refuses(
      R"({"a":{"dtype":"F8_E4M3"}})",
      "the header: \"a\": \"dtype\" must be one of U64, I64, F64, F32, U32, I32, BF16, F16, U16, I16, I8, U8, BOOL, "
      "got \"F8_E4M3\"");
  refuses(R"({"a":{"dtype":["F32"]}})", "the header: \"a\": a list is not allowed here");
  refuses(R"({"a":{"dtype":true}})", "the header: \"a\": true and false are not allowed here");
  refuses(R"({"a":{"shape":"2"}})", "the header: \"a\": \"shape\" must be a list, got \"2\"");
  refuses(R"({"a":{"shape":2}})", "the header: \"a\": a number is not allowed here");
  refuses(R"({"a":{"shape":[2.0]}})", "the header: \"a\": a number must be whole and below 2^63, got 2.0");
  refuses(R"({"a":{"shape":[-2]}})", "the header: \"a\": a number must not be negative, got -2");
  refuses(R"({"a":{"shape":[9223372036854775808]}})",
          "the header: \"a\": a number must be below 2^63, got 9223372036854775808");
  refuses(R"({"a":{"shape":[[2]]}})", "the header: \"a\": a list is not allowed here");
  refuses(R"({"a":{"shape":[{}]}})", "the header: \"a\": an object is not allowed here");
  refuses(R"({"a":{"data_offsets":[0,8,9]}})", "the header: \"a\": \"data_offsets\" must be two numbers, got 3");
  refuses(R"({"a":[]})", "the header: a list is not allowed here");
  refuses(" {}", "byte 8: the header must begin with {");
  refuses("", "byte 8: the header must begin with {");
  refuses(std::string("{}\0", 3), "the header: must be JSON, has a zero byte");
  CHECK_THROWS_WITH(parse(file("{\"\xFF\":{}}", "")),
                    contains("a.st: byte 11: the header: must be JSON: ") && contains("ill-formed UTF-8"));
  CHECK_THROWS_WITH(parse(file("{\"a\":{}", "")), contains("lacks \"dtype\""));
  CHECK_THROWS_WITH(parse(file("{} x", "")), contains("a.st: byte 12: the header: must be JSON: "));
  CHECK_THROWS_WITH(parse(file("{" + std::string(100000, '['), "")), contains("the header: must be JSON"));
  CHECK_THROWS_WITH(parse(file("{\"a\":" + std::string(100000, '['), "")), contains("a list is not allowed here"));

  CHECK_THROWS_WITH(parse("1234567"), "filigree: a.st: byte 0: the length of the header needs 8 bytes, 7 are left");
  CHECK_THROWS_WITH(parse(test::raw<std::uint64_t>({100000001}) + "{}"),
                    "filigree: a.st: byte 8: the header must have at most 100000000 bytes, has 100000001");
  CHECK_THROWS_WITH(parse(test::raw<std::uint64_t>({3}) + "{}"),
                    "filigree: a.st: byte 8: the header needs 3 bytes, 2 are left");
}

TEST_CASE("the actual format of another file is named") {
  CHECK_THROWS_WITH(parse(""), "filigree: a.st: must be a safetensors file, is empty");
  CHECK_THROWS_WITH(parse("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
                    "filigree: a.st: must be a safetensors file, is a git-lfs pointer: `git lfs pull` fetches the file "
                    "itself");
  CHECK_THROWS_WITH(parse("<!doctype html>\n<html>"),
                    "filigree: a.st: must be a safetensors file, is an HTML page, probably an error page of a server");
  CHECK_THROWS_WITH(parse("PK\3\4" + std::string(22, '\0') + "\x10" + std::string(3, '\0') + "archive/data.pkl"),
                    contains("is a PyTorch checkpoint: safetensors.torch.save_file(state_dict, path)"));
  CHECK_THROWS_WITH(parse("{\"weight_map\": {}}"), contains("is a JSON file"));
}

TEST_CASE("damaged files are rejected") {
  const test::Folder folder;
  const std::string path = folder / "x.safetensors";
  fg::save_safetensors(path, {{"a", fg::array_of(Eigen::Matrix<float, 2, 3>::Random())},
                              {"b", fg::array_of(Eigen::Vector4i(1, 2, 3, 4))},
                              {"c", fg::array_of(Eigen::Vector3i(1, 0, 1), Type::uint8)}});
  const std::string text = test::content(path);
  const std::size_t header = text.size() - 24 - 16 - 3;
  // A changed bit of a name gives another valid name, which cannot be detected.
  test::notices_damage(
      text, header, [](const fg::Bytes& bytes) { return test::plain(fg::parse_safetensors(bytes, "a.st").tensors); });
}
