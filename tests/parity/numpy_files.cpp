// SPDX-License-Identifier: MIT
#include "filigree/io/npz.hpp"
#include "io/files.hpp"
#include "parity/io_files.hpp"

namespace fg = filigree;
using test::plain;

TEST_CASE("load_npy reads and save_npy writes the same bytes as numpy.save, in every type and order") {
  const test::Folder folder;
  for (const fg::Type type : parity::all_types)
    for (const bool columns : {false, true}) {
      const std::string name = std::string(fg::name_of(type)) + (columns ? "_columns.npy" : ".npy");
      INFO(name);
      CHECK(plain(fg::load_npy(parity::path(name))) == plain(parity::matrix(type)));
      fg::save_npy(folder / name, parity::matrix(type), {.columns_first = columns});
      CHECK(test::content(folder / name) == parity::content(parity::path(name)));
    }
}

TEST_CASE("load_npy and save_npy agree with numpy.save for other shapes and versions") {
  const fg::NdArray box = fg::array_of(Eigen::VectorXf::LinSpaced(24, 0, 23)).reshaped({2, 3, 4});
  const fg::NdArray seven = fg::array_of(Eigen::Matrix<std::int64_t, 1, 1>(7)).reshaped({});
  const fg::NdArray empty = fg::array_of(Eigen::MatrixXd(0, 3));
  const test::Folder folder;
  const auto same = [&](const std::string& name, const fg::NdArray& array, bool columns_first = false) {
    INFO(name);
    CHECK(plain(fg::load_npy(parity::path(name))) == plain(array));
    fg::save_npy(folder / name, array, {.columns_first = columns_first});
    CHECK(test::content(folder / name) == parity::content(parity::path(name)));
  };
  same("box.npy", box);
  same("box_columns.npy", box, true);
  same("scalar.npy", seven, true);
  same("empty.npy", empty, true);
  for (const char* name : {"version_2.npy", "version_3.npy"})
    CHECK(fg::load_npy(parity::path(name)).as<Eigen::MatrixXd>() == parity::fractions());
  CHECK_THROWS_WITH(fg::load_npy(parity::path("big_endian.npy")),
                    contains("'descr' must be little-endian, got \">f8\""));
}

TEST_CASE("load_npz reads and save_npz writes the same bytes as numpy.savez") {
  const fg::Arrays arrays = fg::load_npz(parity::path("matrices.npz"));
  CHECK(arrays.size() == std::size(parity::all_types));
  std::size_t index = 0;
  for (const auto& [name, array] : arrays) {
    CHECK(name == fg::name_of(parity::all_types[index]));
    CHECK(plain(array) == plain(parity::matrix(parity::all_types[index++])));
  }
  const test::Folder folder;
  fg::save_npz(folder / "x.npz", arrays);
  CHECK(test::content(folder / "x.npz") == parity::content(parity::path("matrices.npz")));

  const fg::Arrays large = fg::load_npz(parity::path("zip64.npz"));
  CHECK(large["x"].as<Eigen::MatrixXd>() == parity::fractions());
  CHECK(large["layer/zeros"].as<Eigen::VectorXd>() == Eigen::VectorXd::Zero(100));
  CHECK(large["\xCF\x83"].as<Eigen::VectorXi>()(0) == 7);

  // The ZIP64 fields, written with the limits that were set in Python: 100 bytes and 2 entries.
  fg::detail::ZipWriter zip(100);
  for (const fg::detail::ZipEntry& entry : fg::detail::read_zip(fg::read_file(parity::path("zip64.npz")), "zip64.npz"))
    zip.add(entry, {entry.bytes});
  fg::write_file(folder / "zip64.npz", std::move(zip).finish());
  CHECK(test::content(folder / "zip64.npz") == parity::content(parity::path("zip64.npz")));
}
