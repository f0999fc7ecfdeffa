// SPDX-License-Identifier: MIT
#include "filigree/io/file.hpp"

#if !defined(_WIN32)
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <chrono>
#include <csignal>
#include <cstdio>

#include "io/files.hpp"

namespace fg = filigree;
using test::content;
using test::Folder;

TEST_CASE("files are read, mapped and written in pieces") {
  const Folder folder;
  const std::string path = folder / "file";
  const std::vector pieces = {fg::Bytes::copy("one "), fg::Bytes(), fg::Bytes::copy("two")};
  fg::write_file(path, pieces);
  CHECK(content(path) == "one two");
  const fg::Bytes mapped = fg::map_file(path);
  CHECK(mapped.text() == "one two");
  CHECK(mapped.slice(4, 3).text() == "two");
  CHECK(folder.names() == std::vector<std::string>{"file"});

#if !defined(_WIN32)
  // A mapping of the old file is unchanged.
  test::write(path, "three");
  CHECK(mapped.text() == "one two");
#endif
}

TEST_CASE("write_file replaces a file") {
  const Folder folder;
  const std::string path = folder / "file";
  test::write(path, "one");
  test::write(path, "three");
  CHECK(content(path) == "three");
  test::write(path, "");
  CHECK(content(path).empty());
  CHECK(fg::map_file(path).size() == 0);
}

TEST_CASE("bytes live as long as a slice of them") {
  const Folder folder;
  test::write(folder / "file", "0123456789");
  fg::Bytes part;
  for (const bool mapped : {false, true}) {
    part = (mapped ? fg::map_file(folder / "file") : fg::read_file(folder / "file")).slice(3, 4);
    CHECK(part.text() == "3456");
  }
}

TEST_CASE("files can have any name in UTF-8") {
  const Folder folder;
  for (const std::string name : {"plain", "two words", "\xC3\xBC\xE2\x82\xAC", "+(1)"}) {
    test::write(folder / name, name);
    CHECK(content(folder / name) == name);
    CHECK(fg::map_file(folder / name).text() == name);
  }
  CHECK_THROWS_WITH(fg::read_file(folder / "absent"), contains("absent: cannot be opened: No such file or directory"));
  CHECK_THROWS_WITH(fg::write_file(folder / "absent/file", fg::Bytes()), contains("cannot be written"));
}

#if defined(_WIN32)

TEST_CASE("temporary files of a terminated program are removed after a minute, and not earlier") {
  const Folder folder;
  const std::string path = folder / "file", part = path + ".filigree-0.part";
  const auto leave = [&] { std::fclose(std::fopen(part.c_str(), "w")); };
  leave();
  test::write(path, "one");
  CHECK(std::filesystem::exists(part));
  CHECK(content(path) == "one");
  std::filesystem::last_write_time(part, std::filesystem::file_time_type::clock::now() - std::chrono::minutes(2));
  test::write(path, "two");
  CHECK(!std::filesystem::exists(part));
  CHECK(content(path) == "two");
  CHECK(folder.names() == std::vector<std::string>{"file"});
}

#else

TEST_CASE("files that are missing or not regular are rejected with name and reason") {
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

TEST_CASE("writing through a link keeps the link and the permissions of its target") {
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

TEST_CASE("writing through a link creates its target if it does not exist") {
  const Folder folder;
  std::filesystem::create_directory(folder / "there");
  std::filesystem::create_symlink("there/file", folder / "first");
  std::filesystem::create_symlink(folder / "first", folder / "second");
  test::write(folder / "second", "new");
  CHECK(std::filesystem::is_symlink(folder / "first"));
  CHECK(std::filesystem::is_symlink(folder / "second"));
  CHECK_FALSE(std::filesystem::is_symlink(folder / "there/file"));
  CHECK(content(folder / "there/file") == "new");

  std::filesystem::create_symlink("circle", folder / "circle");
  CHECK_THROWS_WITH(test::write(folder / "circle", "x"), contains("circle: cannot be written: Too many levels"));
  CHECK(std::filesystem::is_symlink(folder / "circle"));
}

TEST_CASE("a path to an open file of the program is rejected") {
  const Folder folder;
  test::write(folder / "file", "old");
  std::FILE* const open = std::fopen((folder / "file").c_str(), "r+");
  REQUIRE(open != nullptr);
  const std::string path = "/proc/self/fd/" + std::to_string(::fileno(open));
  std::filesystem::create_symlink(path, folder / "link");  // /dev/stdout is such a link
  for (const std::string& name : {path, folder / "link"})
    CHECK_THROWS_WITH(test::write(name, "x"),
                      "filigree: " + path + ": must be a file that can be replaced, is an open file of the program");
  std::fclose(open);
  CHECK(content(folder / "file") == "old");
}

TEST_CASE("empty paths, zero bytes and too long names are rejected") {
  const Folder folder;
  CHECK_THROWS_WITH(test::write("", "x"), "filigree: the path of a file must not be empty");
  CHECK_THROWS_WITH(fg::read_file(""), "filigree: the path of a file must not be empty");
  const std::string cut = (folder / "file") + std::string("\0.txt", 5);
  CHECK_THROWS_WITH(test::write(cut, "x"), contains("the path of a file must not contain a zero byte"));
  CHECK_THROWS_WITH(fg::map_file(cut), contains("the path of a file must not contain a zero byte"));
  CHECK(folder.names().empty());

  std::string umlauts;  // two bytes each
  while (umlauts.size() < 254) umlauts += "\xC3\xA4";
  for (const std::string& name :
       {std::string(230, 'n'), std::string(240, 'n'), std::string(255, 'n'), umlauts, "x" + umlauts}) {
    test::write(folder / name, name);
    CHECK(content(folder / name) == name);
  }
  CHECK(folder.names().size() == 5);
  const std::string longer(256, 'n');
  CHECK_THROWS_WITH(test::write(folder / longer, "x"), contains("cannot be written: File name too long"));
  CHECK(folder.names().size() == 5);
}

TEST_CASE("temporary files of killed programs are removed, and those of running programs are not") {
  const Folder folder;
  const std::string path = folder / "file";
  const auto parts = [&] {
    std::size_t count = 0;
    for (const std::string& name : folder.names()) count += name.ends_with(".part") ? 1 : 0;
    return count;
  };
  // Programs that are killed while they write. In containers, such programs may have equal process ids.
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      fg::detail::Replacement half(path);
      half.write(fg::Bytes::copy("half").span());
      (void)!::write(ready[1], "x", 1);
      ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]), ::close(ready[1]);
    children.push_back(child);
  }
  CHECK(parts() == 3);
  test::write(path, "while they write");
  CHECK(content(path) == "while they write");
  CHECK(parts() == 3);
  for (const pid_t child : children) ::kill(child, SIGKILL), ::waitpid(child, nullptr, 0);
  CHECK(parts() == 3);
  test::write(path, "after they were killed");
  CHECK(content(path) == "after they were killed");
  CHECK(folder.names() == std::vector<std::string>{"file"});

  // A link or a folder with the name of a temporary file is not removed.
  std::filesystem::create_symlink("file", path + ".filigree-0.part");
  std::filesystem::create_directory(path + ".filigree-1.part");
  test::write(path, "third");
  CHECK(content(path) == "third");
  CHECK(folder.names().size() == 3);
}

TEST_CASE("programs that write one file concurrently leave the complete content of one of them") {
  const Folder folder;
  const std::string path = folder / "file";
  std::vector<pid_t> children;
  for (const char letter : {'a', 'b', 'c'}) {
    const pid_t child = ::fork();
    if (child == 0) {
      int failures = 0;
      for (int i = 0; i < 50; ++i) {
        test::write(path, std::string(20000, letter));
        const std::string read = content(path);
        failures += read.size() == 20000 && read == std::string(20000, read[0]) ? 0 : 1;
      }
      ::_exit(failures == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(content(path).size() == 20000);
  CHECK(folder.names() == std::vector<std::string>{"file"});
}

TEST_CASE("a write that fails halfway keeps the old file and leaves no other file") {
  const Folder folder;
  test::write(folder / "file", "old");
  // A limit on the file size simulates a full disk.
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

#endif
