// SPDX-License-Identifier: MIT
// Tests that a reader names the actual format of a file of another format.
#include <filigree/io/io.hpp>
#include <string>

#include "catch.hpp"

namespace fg = filigree;
using namespace std::string_literals;

namespace {

fg::Bytes bytes(const std::string& text) { return fg::Bytes::copy(text); }

/// Returns the local header of an entry of a zip archive.
std::string zip(const std::string& name) {
  return "PK\3\4" + std::string(22, '\0') + static_cast<char>(name.size()) + "\0\0\0"s + name + "content";
}

const std::string torch =
    "a PyTorch checkpoint: safetensors.torch.save_file(state_dict, path) writes a safetensors file of it";
const std::string html = "an HTML page, probably an error page of a server";
const std::string pointer = "a git-lfs pointer: `git lfs pull` fetches the file itself";

}  // namespace

TEST_CASE("kind_of detects the format of a file by its first bytes") {
  const auto is = [](const std::string& text, const std::string& kind) {
    CAPTURE(text);
    CHECK(fg::detail::kind_of(bytes(text)) == kind);
  };
  is("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", pointer);
  is("<!DOCTYPE html>\n<html>", html);
  is("\n  <html lang=\"en\">", html);
  is("\xEF\xBB\xBF<!doctype HTML>", html);
  is(zip("archive/data.pkl"), torch);
  is(zip("pytorch_model/data.pkl"), torch);
  is(zip("W.npy"), "a zip archive");
  is("\x80\2\x8a\nl\xfc\x9c"
     "F\xf9 j\xa8P\x19.\x80\2M\xe9\3.",
     torch);
  is("\x80\4\x95\x0b\0\0"s, "a Python pickle");
  is("\x93NUMPY\1\0"s, "an .npy file");
  is("\x10\0\0\0\0\0\0\0{\"a\":"s, "a safetensors file");
  is("\x1f\x8b\x08", "a gzip file: unpack it first");
  is("\x89PNG\r\n", "a PNG picture");
  is("\x89HDF\r\n", "an HDF5 file");
  is("GGUF\3", "a GGUF file");
  is("{\"metadata\": {}}", "a JSON file");
  is("", "empty");
  for (const std::string unknown : {"1,2,3", "<", "<svg>", "PK", "version 1", "\x80", "abcdefgh{"}) is(unknown, "");
}

TEST_CASE("readers name the actual format of a file") {
  const auto all = [](const std::string& text, const std::string& kind) {
    const fg::Bytes file = bytes(text);
    CHECK_THROWS_WITH(fg::parse_npy(file, "w"), "filigree: w: must be an .npy file, is " + kind);
    CHECK_THROWS_WITH(fg::parse_npz(file, "w"), "filigree: w: must be an .npz file, is " + kind);
    CHECK_THROWS_WITH(fg::parse_pgm<Eigen::MatrixXf>(file, "w"), "filigree: w: must be a PGM picture, is " + kind);
    CHECK_THROWS_WITH(fg::parse_csv<Eigen::MatrixXf>(file, "w"),
                      "filigree: w: must be a text file of numbers, is " + kind);
  };
  all("version https://git-lfs.github.com/spec/v1\n", pointer);
  all("<!DOCTYPE html><html><body>Not found</body></html>", html);
  all("\x80\2\x8a\nl\xfc\x9c"
      "F\xf9 j\xa8P\x19.",
      torch);
  CHECK_THROWS_WITH(fg::parse_npz(bytes(zip("archive/data.pkl")), "w"),
                    "filigree: w: must be an .npz file, is " + torch);
  CHECK_THROWS_WITH(fg::parse_npz(bytes("\x93NUMPY\1\0"s), "w"), "filigree: w: must be an .npz file, is an .npy file");
  CHECK_THROWS_WITH(fg::parse_npy(bytes(zip("W.npy")), "w"), "filigree: w: must be an .npy file, is a zip archive");
  // A skipped line of a table may have any content.
  CHECK(fg::parse_csv<Eigen::MatrixXf>(bytes("{\n1,2\n"), "w", {.skip_rows = 1}).cols() == 2);
}
