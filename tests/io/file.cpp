// SPDX-License-Identifier: MIT
#include "filigree/io/file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "io/files.hpp"

namespace fg = filigree;
using test::content;
using test::Folder;

TEST_CASE("a file is read, mapped and written in pieces") {
  const Folder folder;
  const std::string path = folder / "file";
  const std::vector pieces = {fg::Bytes::copy("one "), fg::Bytes(), fg::Bytes::copy("two")};
  fg::write_file(path, pieces);
  CHECK(content(path) == "one two");
  const fg::Bytes mapped = fg::map_file(path);
  CHECK(mapped.text() == "one two");
  CHECK(mapped.part(4, 3).text() == "two");
  CHECK(folder.names() == std::vector<std::string>{"file"});

  // Who has mapped the old file keeps it.
  test::write(path, "three");
  CHECK(mapped.text() == "one two");
  CHECK(content(path) == "three");
  test::write(path, "");
  CHECK(content(path).empty());
  CHECK(fg::map_file(path).size() == 0);
}

TEST_CASE("bytes live as long as the last part of them") {
  const Folder folder;
  test::write(folder / "file", "0123456789");
  fg::Bytes part;
  for (const bool mapped : {false, true}) {
    part = (mapped ? fg::map_file(folder / "file") : fg::read_file(folder / "file")).part(3, 4);
    CHECK(part.text() == "3456");
  }
}

TEST_CASE("what is no regular file is refused, by name and reason") {
  const Folder folder;
  const std::string absent = folder / "absent", inside = folder / "absent/file", place = folder / "place";
  std::filesystem::create_directory(place);
  for (const bool mapped : {false, true}) {
    const auto read = [&](const std::string& path) { return mapped ? fg::map_file(path) : fg::read_file(path); };
    CHECK_THROWS_WITH(read(absent), "filigree: " + absent + ": cannot be opened: No such file or directory");
    CHECK_THROWS_WITH(read(place), "filigree: " + place + ": must be a regular file");
    CHECK_THROWS_WITH(read("/dev/zero"), "filigree: /dev/zero: must be a regular file");
  }
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(fg::read_file(pipe), "filigree: " + pipe + ": must be a regular file");
  CHECK_THROWS_WITH(test::write(pipe, "x"), "filigree: " + pipe + ": must be a regular file");
  CHECK_THROWS_WITH(test::write(place, "x"), "filigree: " + place + ": must be a regular file");
  CHECK_THROWS_WITH(test::write("/dev/null", "x"), "filigree: /dev/null: must be a regular file");
  CHECK_THROWS_WITH(test::write(inside, "x"), "filigree: " + inside + ": cannot be written: No such file or directory");
  CHECK(std::filesystem::is_directory(place));
  CHECK(folder.names().size() == 2);
}

TEST_CASE("a link keeps pointing, and permissions stay") {
  const Folder folder;
  test::write(folder / "file", "old");
  REQUIRE(::chmod((folder / "file").c_str(), 0640) == 0);
  std::filesystem::create_symlink("file", folder / "link");
  test::write(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(content(folder / "file") == "new");
  struct stat status {};
  REQUIRE(::stat((folder / "file").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK(folder.names().size() == 2);
}

TEST_CASE("a write that fails half way leaves the old file and nothing else") {
  const Folder folder;
  test::write(folder / "file", "old");
  // A limit on the size of files stands for a full disk.
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    test::write(folder / "file", std::string(5000, 'x'));
  } catch (const fg::Error& error) {
    message = error.what();
  }
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(message == "filigree: " + (folder / "file") + ": cannot be written: File too large");
  CHECK(content(folder / "file") == "old");
  CHECK(folder.names() == std::vector<std::string>{"file"});
}
