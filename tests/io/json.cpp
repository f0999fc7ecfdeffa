// SPDX-License-Identifier: MIT
#include "filigree/io/json.hpp"

#include "io/files.hpp"

namespace fg = filigree;
using fg::Index;

namespace {

fg::JsonObject parse(const std::string& text) { return fg::parse_json(fg::Bytes::copy(text), "a.json"); }
void refuses(const std::string& text, const std::string& message) {
  CHECK_THROWS_WITH(parse(text), "filigree: a.json: " + message);
}

const std::string everything =
    R"({"d_in": 768, "lr": 1e-05, "big": 123456789012345678901234567890, "small": -0.10, "on": true, "none": null, )"
    R"("name": "na\u00efve \ud83d\ude00 \"\\\n\u0001\u007f/", "list": [1, [], {}, [2, "x"], {"a": false}], )"
    R"("metadata": {"v": "6.54", "in": {"k": [0]}}, "": ""})";

}  // namespace

TEST_CASE("a number too small for a double is 0, as in Python") {
  const fg::JsonObject object = fg::parse_json(fg::Bytes::copy(std::string(R"({"x": 1e-999, "y": -2.5})")), "text");
  CHECK(object.get<double>("x") == 0);
  CHECK(object.get<double>("y") == -2.5);
}

TEST_CASE("an object is written in the form of Python's json.dump, with all digits") {
  CHECK(parse(everything).text() == everything);
  CHECK(parse(" {\n} \n").text() == "{}");
  // Whitespace and escapes are normalized, and numbers keep their digits.
  CHECK(parse("{\"a\"\t:[ 1 ,2.50e+3]  ,\"\\u0041\\/\":\"\xC3\xAF\"}").text() ==
        R"({"a": [1, 2.50e+3], "A/": "\u00ef"})");

  const test::Folder folder;
  fg::save_json(folder / "a.json", parse(everything));
  CHECK(test::content(folder / "a.json") == everything);
  const fg::JsonObject read = fg::load_json(folder / "a.json");
  CHECK(read.text() == everything);
  CHECK(read.size() == 10);
  CHECK(read.name() == folder / "a.json");
}

TEST_CASE("get returns values by type") {
  const fg::JsonObject object = parse(everything);
  CHECK(object.get<Index>("d_in") == 768);
  CHECK(object.get<double>("d_in") == 768);
  CHECK(object.get<double>("lr") == 1e-5);
  CHECK(object.get<double>("small") == -0.1);
  CHECK(object.get<double>("big") == 123456789012345678901234567890.0);
  CHECK(object.get<bool>("on"));
  CHECK(object.get<std::string>("name") == "na\xC3\xAFve \xF0\x9F\x98\x80 \"\\\n\x01\x7F/");
  CHECK(object.get<fg::JsonObject>("metadata").get<fg::JsonObject>("in").text() == R"({"k": [0]})");
  CHECK(object.get<Index>("none", 7) == 7);
  CHECK(object.get<Index>("nowhere", 8) == 8);
  CHECK(object.get<Index>("d_in", 9) == 768);
  CHECK(object.contains("none"));
  CHECK(!object.contains("nowhere"));
  CHECK(parse(R"({"k": -9223372036854775808})").get<Index>("k") == (std::numeric_limits<Index>::min)());

  const auto refuses = [&](const auto& get, const std::string& message) {
    CHECK_THROWS_WITH(get(), "filigree: a.json: " + message);
  };
  refuses([&] { return object.get<Index>("nowhere"); }, "must have a key \"nowhere\"");
  refuses([&] { return object.get<Index>("name"); },
          R"("name" must be a whole number of at most 63 bits, is "na\u00efve \ud83d\ude00 \"\\\n\u0001\u007f/")");
  refuses([&] { return object.get<Index>("lr"); }, "\"lr\" must be a whole number of at most 63 bits, is 1e-05");
  refuses([&] { return object.get<Index>("big"); },
          "\"big\" must be a whole number of at most 63 bits, is 123456789012345678901234567890");
  refuses([&] { return object.get<Index>("on", 3); }, "\"on\" must be a whole number of at most 63 bits, is true");
  refuses([&] { return object.get<double>("list"); },
          "\"list\" must be a number, is [1, [], {}, [2, \"x\"], {\"a\": false}]");
  refuses([&] { return object.get<bool>("none"); }, "\"none\" must be true or false, is null");
  refuses([&] { return object.get<bool>("d_in"); }, "\"d_in\" must be true or false, is 768");
  refuses([&] { return object.get<std::string>("on"); }, "\"on\" must be a string, is true");
  refuses([&] { return object.get<fg::JsonObject>("d_in"); }, "\"d_in\" must be an object, is 768");
  refuses([&] { return object.get<fg::JsonObject>("metadata").get<Index>("v"); },
          "\"metadata\": \"v\" must be a whole number of at most 63 bits, is \"6.54\"");
  refuses([&] { return parse("{\"a\": \"" + std::string(100, 'x') + "\"}").get<bool>("a"); },
          "\"a\" must be true or false, is \"" + std::string(59, 'x') + "...");
}

TEST_CASE("set keeps the position of a key or appends it, and erase removes it") {
  fg::JsonObject object = parse(R"({"a": 1, "b": [2], "c": 3})");
  object.set("b", true);
  object.set("d", Index(-4));
  object.set("e", 0.1);
  object.set("f", "\xC3\xAF\"");
  object.set("g", parse(R"({"x": 1e2})"));
  object.erase("a");
  object.erase("nowhere");
  CHECK(object.text() == R"({"b": true, "c": 3, "d": -4, "e": 0.1, "f": "\u00ef\"", "g": {"x": 1e2}})");
  CHECK_THROWS_WITH(object.set("h", std::numeric_limits<double>::quiet_NaN()),
                    "filigree: object.set(key, value): a number must be finite, got nan");
  CHECK_THROWS_WITH(object.set("h", "\xFF"), "filigree: object.set(key, value): \"\xFF\" must be UTF-8");
  CHECK_THROWS_WITH(object.set("\xFF", 1), "filigree: object.set(key, value): \"\xFF\" must be UTF-8");
  CHECK(object.size() == 6);
  CHECK(fg::JsonObject().text() == "{}");
}

TEST_CASE("texts that are not an object, or are ambiguous, are rejected") {
  refuses("[1]", "must be an object, {...}");
  refuses("7", "must be an object, {...}");
  refuses("null", "must be an object, {...}");
  refuses(R"({"a": 1, "b": 2, "a": 3})", "the key \"a\" occurs twice");
  refuses(R"({"m": {"a": 1, "\u0061": 3}})", "\"m\": the key \"a\" occurs twice");
  refuses(R"({"m": [{"a": {}}, {"a": {"b": 1, "b": 2}}]})", "\"m\": the key \"b\" occurs twice");
  refuses(std::string("{}\0", 3), "must be JSON, has a zero byte");
  refuses(std::string(1 << 20, ' ') + "{}", "must have at most 1048576 bytes, has 1048578");
  const auto mentions = [](const std::string& text, const std::string& where, const std::string& what) {
    CAPTURE(text.substr(0, 100));
    CHECK_THROWS_WITH(parse(text), contains("filigree: a.json: " + where) && contains(what));
  };
  mentions("", "byte 1: must be JSON: ", "unexpected end of input");
  mentions("{\"a\": 1", "byte 8: must be JSON: ", "unexpected end of input");
  mentions("{\"a\": 1,}", "byte 9: must be JSON: ", "expected string literal");
  mentions("{\"a\": 1} x", "byte 10: must be JSON: ", "expected end of input");
  mentions("{\"a\": \"\xFF\"}", "byte 8: must be JSON: ", "ill-formed UTF-8");
  mentions("{\"a\": \"\\ud83d\"}", "byte ", "surrogate");
  mentions("{\"a\": NaN}", "byte 7: must be JSON: ", "invalid literal");
  mentions("{\"m\": {\"a\": 01}}", "byte 14: \"m\": must be JSON: ", "expected '}'");
  mentions("{\"a\": 1e999}", "byte 11: must be JSON: ", "number overflow");
  mentions("{\"a\": 1" + std::string(400, '0') + "}", "byte ", "number overflow");
}

TEST_CASE("the nesting depth is bounded") {
  const auto nested = [](int lists) {
    return "{\"a\": " + std::string(static_cast<std::size_t>(lists), '[') +
           std::string(static_cast<std::size_t>(lists), ']') + "}";
  };
  CHECK(parse(nested(31)).text() == nested(31));
  refuses(nested(32), "\"a\": objects and lists must be nested at most 32 deep");
  refuses("{\"a\": " + std::string(1000000, '['), "\"a\": objects and lists must be nested at most 32 deep");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  refuses(objects, "\"a\": objects and lists must be nested at most 32 deep");
}

TEST_CASE("a damaged text is rejected or read as another valid object") {
  for (std::size_t size = 0; size < everything.size(); ++size)
    CHECK_THROWS_AS(parse(everything.substr(0, size)), fg::Error);
  for (std::size_t bit = 0; bit < 8 * everything.size(); ++bit) {
    std::string damaged = everything;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    try {
      // Text that is read and written is read as the same text.
      const std::string text = parse(damaged).text();
      CHECK(parse(text).text() == text);
    } catch (const fg::Error&) {
    }
  }
  const test::Folder folder;
  test::write(folder / "a.json", std::string(2 << 20, ' '));
  CHECK_THROWS_WITH(fg::load_json(folder / "a.json"),
                    "filigree: " + (folder / "a.json") + ": must have at most 1048576 bytes, has 2097152");
  CHECK_THROWS_WITH(fg::load_json(folder / "none"), contains("none: cannot be opened"));
}
