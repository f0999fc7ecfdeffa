// SPDX-License-Identifier: MIT
#include "filigree/io/safetensors.hpp"
#include "io/files.hpp"
#include "parity/io_files.hpp"

namespace fg = filigree;

TEST_CASE("load_safetensors reads and save_safetensors writes the same bytes as Python, in every type") {
  const std::string path = parity::path("matrices.safetensors");
  const fg::Safetensors read = fg::load_safetensors(path);
  CHECK(read.tensors.size() == std::size(parity::all_types));
  CHECK(read.metadata == std::map<std::string, std::string>{{"writer", "na\xC3\xAFve \"\n"}});
  fg::Arrays arrays;
  for (const fg::Type type : parity::all_types) {
    const std::string name(fg::name_of(type));
    CHECK(test::plain(read[name]) == test::plain(parity::matrix(type)));
    arrays.add(name, parity::matrix(type));
  }
  const test::Folder folder;
  fg::save_safetensors(folder / "x.safetensors", arrays, read.metadata);
  CHECK(test::content(folder / "x.safetensors") == parity::content(path));
}
