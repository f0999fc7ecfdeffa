// SPDX-License-Identifier: MIT
#include "filigree/core/list.hpp"

#include <string>
#include <vector>

#include "catch.hpp"

using filigree::detail::List;
using filigree::detail::Slice;
using filigree::detail::StableList;

namespace {

template <class T>
std::vector<T> vector_of(const List<T>& list) {
  return {list.begin(), list.end()};
}

/// Counts the instances that exist.
struct Counted {
  static inline int living = 0;
  int value;
  explicit Counted(int number = 7) : value(number) { ++living; }
  Counted(const Counted& other) : value(other.value) { ++living; }
  Counted(Counted&& other) noexcept : value(std::exchange(other.value, -1)) { ++living; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --living; }
};

}  // namespace

TEST_CASE("a list behaves like std::vector") {
  List<int> list{3, 1, 2};
  std::vector<int> expected{3, 1, 2};
  const auto same = [&] {
    CHECK(vector_of(list) == expected);
    CHECK(list.size() == static_cast<Eigen::Index>(expected.size()));
    CHECK(list.empty() == expected.empty());
  };
  same();
  for (int i = 0; i < 100; ++i) {
    list.push_back(list[i % 3] + i);  // appends a copy of its own entry, also when it reallocates
    expected.push_back(expected[static_cast<std::size_t>(i % 3)] + i);
  }
  same();
  CHECK(list.back() == expected.back());
  list.resize(40);
  list.resize(45);
  list.resize(50, 9);
  expected.resize(40);
  expected.resize(45);
  expected.resize(50, 9);
  same();
  const int more[] = {5, 6, 7};
  for (int i = 0; i < 30; ++i) {
    list.append(more, more + 3);
    expected.insert(expected.end(), more, more + 3);
  }
  same();
  list.assign(12, 4);
  expected.assign(12, 4);
  same();
  list.shrink_to_fit();
  CHECK(list.capacity() == 12);
  same();
  list.clear();
  expected.clear();
  same();
  list.shrink_to_fit();
  same();
}

TEST_CASE("lists are copied, moved and swapped") {
  const List<int> one{1, 2, 3};
  List<int> two(one), three(4, 8);
  two.push_back(4);
  CHECK(vector_of(one) == std::vector{1, 2, 3});
  CHECK(vector_of(two) == std::vector{1, 2, 3, 4});
  three.reserve(100);
  const int* const memory = three.data();
  three = one;
  CHECK(three.data() == memory);  // reuses its memory
  CHECK(vector_of(three) == std::vector{1, 2, 3});
  List<int>& itself = three;
  three = itself;
  CHECK(vector_of(three) == std::vector{1, 2, 3});
  List<int> four(std::move(two));
  CHECK(vector_of(four) == std::vector{1, 2, 3, 4});
  four.swap(three);
  CHECK(vector_of(four) == std::vector{1, 2, 3});
  CHECK(vector_of(List<int>()).empty());
}

TEST_CASE("entries that are not trivially copyable are moved and destroyed") {
  {
    List<Counted> list(3);
    for (int i = 0; i < 20; ++i) list.push_back(Counted(i));
    CHECK(Counted::living == 23);
    CHECK(list[0].value == 7);
    CHECK(list[22].value == 19);
    list.resize(5);
    CHECK(Counted::living == 5);
    const List<Counted> copy(list);
    CHECK(Counted::living == 10);
    list.clear();
    CHECK(Counted::living == 5);
  }
  CHECK(Counted::living == 0);
  List<List<std::string>> texts(2);
  for (int i = 0; i < 30; ++i)
    texts[i % 2].push_back("a text that is too long to be stored in place " + std::to_string(i));
  texts.resize(40);
  CHECK(texts[1].size() == 15);
  CHECK(texts[0][14].ends_with("28"));
}

TEST_CASE("nothing leaks if copying an entry throws") {
  struct Fragile : Counted {
    Fragile() = default;
    Fragile(const Fragile& other) : Counted(other) {
      if (living > 7) throw 1;
    }
    Fragile(Fragile&&) = default;
  };
  {
    List<Fragile> list(1);
    for (int i = 0; i < 4; ++i) list.push_back(Fragile());
    CHECK_THROWS_AS(List<Fragile>(list), int);
    CHECK_THROWS_AS(List<Fragile>(9, list[0]), int);
    CHECK(Counted::living == 5);
  }
  CHECK(Counted::living == 0);
}

TEST_CASE("entries of a stable list keep their addresses") {
  {
    StableList<Counted> list;
    list.grow();
    const Counted* const first = &list[0];
    for (int i = 0; i < 40; ++i) list.grow();
    CHECK(&list[0] == first);
    CHECK(list.size() == 41);
    CHECK(Counted::living == 41);
  }
  CHECK(Counted::living == 0);
}

TEST_CASE("a slice is a view of a range of a list") {
  const List<int> list{4, 5, 6, 7};
  const Slice<int> slice{list.begin() + 1, list.end()};
  CHECK(slice.size() == 3);
  CHECK(slice[0] == 5);
  CHECK(slice.back() == 7);
  CHECK(Slice<int>{}.empty());
}
