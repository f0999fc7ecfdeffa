// SPDX-License-Identifier: MIT
// The tokenizer of the examples, with a vocabulary of its own.
#include "../../examples/wordpiece.hpp"

#include <string>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"

namespace {

/// Returns the words of a text, joined by bars.
std::string words(const std::string& text) {
  std::string result;
  for (const std::u32string& word : wordpiece::words_of(text)) {
    if (!result.empty()) result += "|";
    for (const char32_t code : word) wordpiece::encode(code, result);
  }
  return result;
}

const std::vector<std::string> vocabulary = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un",  "##aff", "##able", "aff",
                                             "runn",  "##ing", ",",     "unaf",  "##f", "a",     "##a",    "世"};

std::string many(std::size_t count, const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("words of BERT: lower case, accents, spaces, punctuation and Chinese characters") {
  CHECK(words("") == "");
  CHECK(words("  Hello,\tWORLD! \r\n") == "hello|,|world|!");
  CHECK(words("don't e-mail_x $5.00") == "don|'|t|e|-|mail|_|x|$|5|.|00");
  CHECK(words("Ärger über Ñandú, ÇA VA; Ångström") == "arger|uber|nandu|,|ca|va|;|angstrom");
  CHECK(words("e\u0301te\u0301 \u1ED6") == "ete|o");            // a letter and a mark, and a letter of two marks
  CHECK(words("STRASSE Straße \u1E9E") == "strasse|straße|ß");  // no full case folding
  CHECK(words("ΣΊΣΥΦΟΣ") == "σισυφοσ");                         // no final sigma
  CHECK(words("\u0130stanbul") == "istanbul");
  CHECK(words("a\u0301\u0327") == "a");
  CHECK(words("世界x世") == "世|界|x|世");
  CHECK(words("ひらがな 한") == "ひらかな|\u1112\u1161\u11AB");  // a voiced kana has a mark; Hangul is decomposed
  CHECK(words("a\u00A0b\u2003c\u3000d\u2028e") == "a|b|c|d|e");  // spaces
  CHECK(words(std::string("a\0b\x01"
                          "c\u200Bd\u00ADe\uFFFDf",
                          16)) == "abcdef");  // control characters are removed
  CHECK(words("“quoted” — ‘so’…") == "“|quoted|”|—|‘|so|’|…");
  CHECK(words("\U0001D400\U0001F600x") == "\U0001D400\U0001F600x");  // symbols are no punctuation
  CHECK(words("\uF900") == "\u8C48");                                // a compatibility ideograph
  CHECK(words("a\xFF"
              "b\xC3") == "ab");  // bytes that are not UTF-8
  CHECK(words("\xC0\xAF\xED\xA0\x80x\xF4\x90\x80\x80") == "x");
}

TEST_CASE("WordPiece takes the longest entry first") {
  const wordpiece::Tokenizer tokenizer(vocabulary);
  using Ids = std::vector<int>;
  CHECK(tokenizer("") == Ids{2, 3});
  CHECK(tokenizer("Running, running") == Ids{2, 8, 9, 10, 8, 9, 3});
  CHECK(tokenizer("unaffable") == Ids{2, 11, 12, 6, 3});  // unaf, not un
  CHECK(tokenizer("unaffabl") == Ids{2, 1, 3});           // no rest may be unknown
  CHECK(tokenizer("able") == Ids{2, 1, 3});               // ##able does not begin a word
  CHECK(tokenizer("世x") == Ids{2, 15, 1, 3});
  CHECK(tokenizer(many(100, "a")).size() == 102);
  CHECK(tokenizer(many(101, "a")) == Ids{2, 1, 3});
  CHECK(tokenizer(many(20, "a ").c_str(), 5) == Ids{2, 13, 13, 13, 3});
  CHECK(tokenizer(many(3, "a ").c_str(), 5) == Ids{2, 13, 13, 13, 3});
  CHECK(tokenizer("aaaaaa", 4) == Ids{2, 13, 14, 3});  // within a word
  CHECK(tokenizer("a", 0) == Ids{2, 3});
}

TEST_CASE("a vocabulary is read from a file") {
  const test::Folder folder;
  std::string text;
  for (const std::string& entry : vocabulary) text += entry + "\r\n";
  test::write(folder / "vocab.txt", text);
  const auto tokenizer = wordpiece::Tokenizer::read(folder / "vocab.txt");
  CHECK(tokenizer.size() == vocabulary.size());
  CHECK(tokenizer("aff") == std::vector<int>{2, 7, 3});
  CHECK_THROWS_WITH(wordpiece::Tokenizer::read(folder / "none.txt"), folder / "none.txt: cannot be opened");
  CHECK_THROWS_WITH(wordpiece::Tokenizer({"[UNK]", "[CLS]"}), "the vocabulary must have an entry [SEP]");
}
