// SPDX-License-Identifier: MIT
// Which movies should be recommended to a user, given those that users have rated? Four models of MovieLens 100k:
// popularity, EASE, SLIM, and a denoising autoencoder with a multinomial loss.
//
//   recommend                synthetic data, labelled as such
//   recommend folder         MovieLens 100k: folder has ml-100k.inter and ml-100k.item, as in the PyPI package recbole
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filigree/filigree.hpp>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
using Lists = Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Interactions, each 1, and the titles of the items.
struct Data {
  std::vector<Eigen::Triplet<float>> entries;  // of each user in turn
  Index users, items;
  std::vector<std::string> titles;
};

/// Reads the table of ratings, and keeps those of at least 4. Users and items are numbered from 1 in the files.
Data read_movies(const std::string& folder) {
  Data data{{}, 0, 0, {}};
  std::string line;
  std::ifstream items(folder + "/ml-100k.item");
  for (std::getline(items, line); std::getline(items, line);) {
    const auto begin = line.find('\t') + 1;
    data.titles.push_back(line.substr(begin, line.find('\t', begin) - begin));
  }
  data.items = static_cast<Index>(data.titles.size());
  std::ifstream ratings(folder + "/ml-100k.inter");
  for (std::getline(ratings, line); std::getline(ratings, line);) {
    std::istringstream fields(line);
    int user = 0, item = 0;
    double rating = 0;
    if (!(fields >> user >> item >> rating) || user < 1 || item < 1 || item > data.items)
      throw std::runtime_error(folder + "/ml-100k.inter: must have a user, an item and a rating in each line");
    data.users = std::max<Index>(data.users, user);
    if (rating >= 4) data.entries.emplace_back(user - 1, item - 1, 1.0F);
  }
  return data;
}

/// Synthetic: each of 300 users likes two of ten groups of 20 items, of which the first are the most popular.
Data synthetic() {
  Data data{{}, 300, 200, {}};
  fg::Generator generator(7);
  for (int i = 0; i < data.items; ++i)
    data.titles.push_back("group " + std::to_string(i / 20) + ", item " + std::to_string(i % 20));
  for (int u = 0; u < data.users; ++u)
    for (int i = 0; i < data.items; ++i) {
      const bool likes = i / 20 == u % 10 || i / 20 == u / 10 % 10;
      if (generator.uniform() < (likes ? 0.6 : 0.03) - 0.02 * (i % 20) * (likes ? 1 : 0))
        data.entries.emplace_back(u, i, 1.0F);
    }
  return data;
}

/// A random fifth of the interactions of each user is hidden.
void split(const Data& data, Sparse& train, Sparse& hidden) {
  fg::Generator generator(2026);
  std::vector<std::vector<Eigen::Triplet<float>>> users(static_cast<std::size_t>(data.users));
  for (const auto& entry : data.entries) users[static_cast<std::size_t>(entry.row())].push_back(entry);
  std::vector<Eigen::Triplet<float>> parts[2];
  for (auto& entries : users) {
    generator.shuffle(entries);
    for (std::size_t e = 0; e < entries.size(); ++e) parts[e < entries.size() / 5 ? 1 : 0].push_back(entries[e]);
  }
  train.setFromTriplets(parts[0].begin(), parts[0].end());
  hidden.setFromTriplets(parts[1].begin(), parts[1].end());
}

/// Mean over the users with hidden items of recall@k = hits / min(k, hidden items) and of ndcg@k with gains of 0 and 1.
void measure(const char* model, const Lists& best, const Sparse& hidden, double seconds, const char* note = "") {
  double recalls = 0, ndcgs = 0;
  Index users = 0;
  for (Index u = 0; u < hidden.rows(); ++u) {
    const Index relevant = hidden.row(u).nonZeros();
    if (relevant == 0) continue;
    double hits = 0, gain = 0, ideal = 0;
    for (Index p = 0; p < best.cols(); ++p) {
      const double discount = 1 / std::log2(static_cast<double>(p) + 2);
      const bool hit = best(u, p) >= 0 && hidden.coeff(u, best(u, p)) != 0;
      hits += hit ? 1 : 0;
      gain += hit ? discount : 0;
      ideal += p < relevant ? discount : 0;
    }
    recalls += hits / static_cast<double>(std::min(relevant, best.cols()));
    ndcgs += gain / ideal;
    ++users;
  }
  const auto mean = [&](double sum) { return sum / static_cast<double>(users); };
  std::printf("%-12s recall@20 %.2f  ndcg@20 %.2f  │ %.4f %.4f, %.2f s%s\n", model, mean(recalls), mean(ndcgs),
              mean(recalls), mean(ndcgs), seconds, note);
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int main(int argc, char** argv) try {
  const bool movies = argc > 1;
  if (movies && !std::ifstream(std::string(argv[1]) + "/ml-100k.inter")) {
    std::printf("SKIPPED: %s has no MovieLens 100k (ml-100k.inter); docs/recommenders.md says how to get it\n",
                argv[1]);
    return 0;
  }
  const Data data = movies ? read_movies(argv[1]) : synthetic();
  Sparse train(data.users, data.items), hidden(data.users, data.items);
  split(data, train, hidden);
  std::printf("%s: %td users, %td items, %td interactions, of which %td are hidden\n",
              movies ? "MovieLens 100k, ratings of at least 4" : "synthetic data", data.users, data.items,
              train.nonZeros() + hidden.nonZeros(), hidden.nonZeros());

  fg::ThreadPool pool;
  double begin = now();
  const Matrix popular = (Eigen::RowVectorXf::Ones(data.users) * train).replicate(data.users, 1);
  measure("popularity", fg::best_unseen(popular, train, 20).columns, hidden, now() - begin);

  begin = now();
  const Matrix b = fg::ease(train, movies ? 300 : 50, pool);
  const auto by_ease = fg::recommendations(train, b, 20, pool);
  measure("EASE", by_ease.columns, hidden, now() - begin);

  begin = now();
  const auto w = fg::slim(train, {.l1 = movies ? 3.0 : 1.0, .l2 = movies ? 100.0 : 20.0, .tolerance = 1e-4}, pool);
  const std::string stored = ", " + std::to_string(w.nonZeros()) + " weights";
  measure("SLIM", fg::recommendations(train, w, 20, pool).columns, hidden, now() - begin, stored.c_str());

  begin = now();
  const Index width = movies ? 200 : 32, batch = 100, epochs = movies ? 60 : 40;
  Sparse x = train;  // rows of length 1
  for (Index u = 0; u < x.rows(); ++u)
    if (const float length = x.row(u).norm(); length > 0) x.row(u) /= length;
  auto net =
      fg::network(fg::dropout(0.5, 3) | fg::linear(data.items, width) | fg::tanh() | fg::linear(width, data.items));
  fg::fit(net, x, train, fg::multinomial() + 2e-4 * fg::weight_decay(), fg::adam{.rate = 0.002},
          {.epochs = epochs, .batch = batch, .executor = pool});
  measure("autoencoder", fg::best_unseen(net(x), train, 20, pool).columns, hidden, now() - begin);

  for (const Index u : {0, 10}) {
    std::printf("\nuser %td liked", u + 1);
    Index shown = 0;
    for (Sparse::InnerIterator e(train, u); e && shown < 4; ++e, ++shown)
      std::printf("%s %s", shown > 0 ? "," : "", data.titles[static_cast<std::size_t>(e.col())].c_str());
    std::printf(", ...; EASE recommends\n");
    for (Index p = 0; p < 3; ++p) {
      const Index item = by_ease.columns(u, p);
      std::printf("  %s%s\n", data.titles[static_cast<std::size_t>(item)].c_str(),
                  hidden.coeff(u, item) != 0 ? " (hidden: also liked)" : "");
    }
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
