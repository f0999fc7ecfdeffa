// SPDX-License-Identifier: MIT
// How many weights of a classifier of handwritten digits can be pruned? Each method prunes the same trained network, of
// layers 64 - 128 - 64 - 10, at once or in the course of further training. Writes prune_digits.svg.
#include <cstdio>
#include <filigree/filigree.hpp>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "digits_data.hpp"

namespace fg = filigree;
using Eigen::Index;

struct Curve {
  std::string name, color;
  std::vector<double> accuracies;  // in percent
};

/// Writes the curves of accuracies over the fractions, at equal distances, as a picture.
void draw(const std::vector<Curve>& curves, const std::vector<double>& fractions, const std::string& path) {
  const auto x = [&](std::size_t i) { return 60 + 420.0 * static_cast<double>(i) / double(fractions.size() - 1); };
  const auto y = [](double percent) { return 20 + 2.6 * (100 - percent); };
  std::ofstream file(path);
  file << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"330\" font-family=\"sans-serif\" "
          "font-size=\"13\">\n<rect width=\"680\" height=\"330\" fill=\"white\"/>\n";
  for (int percent = 0; percent <= 100; percent += 20)
    file << "<path d=\"M60 " << y(percent) << "H480\" stroke=\"#ddd\"/><text x=\"52\" y=\"" << y(percent) + 4
         << "\" text-anchor=\"end\">" << percent << " %</text>\n";
  for (std::size_t i = 0; i < fractions.size(); ++i)
    file << "<text x=\"" << x(i) << "\" y=\"300\" text-anchor=\"middle\">" << 100 * fractions[i] << " %</text>\n";
  file << "<text x=\"270\" y=\"322\" text-anchor=\"middle\">pruned weights</text>\n";
  double label = 60;
  for (const Curve& curve : curves) {
    file << "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" << curve.color << "\" points=\"";
    for (std::size_t i = 0; i < fractions.size(); ++i) file << x(i) << ',' << y(curve.accuracies[i]) << ' ';
    file << "\"/><text x=\"500\" y=\"" << (label += 24) << "\" fill=\"" << curve.color << "\">" << curve.name
         << "</text>\n";
  }
  file << "</svg>\n";
}

int main() {
  const Digits digits = read_digits(FILIGREE_DIGITS);
  std::vector<Index> order(static_cast<std::size_t>(digits.count()));
  std::iota(order.begin(), order.end(), Index{0});
  fg::Generator(1).shuffle(order);
  const Matrix pixels = digits.pixels(order, Eigen::all) / 16, labels = digits.labels(order, Eigen::all);
  constexpr Index train = 1200;
  const Index test = digits.count() - train;
  const Matrix x = pixels.topRows(train), y = labels.topRows(train), held_out = pixels.bottomRows(test);

  auto dense = fg::network(fg::linear(64, 128) | fg::relu() | fg::linear(128, 64) | fg::relu() | fg::linear(64, 10), 3);
  using Net = decltype(dense);
  const auto accuracy = [&](const Net& net) {
    const Matrix votes = net(held_out);
    Index right = 0;
    for (Index i = 0; i < test; ++i) right += likeliest(votes, i) == likeliest(labels, train + i) ? 1 : 0;
    return 100 * static_cast<double>(right) / static_cast<double>(test);
  };
  const fg::fit_options options = {.epochs = 30, .batch = 50};
  fg::fit(dense, x, y, fg::cross_entropy(), fg::adam{.rate = 0.002}, options);
  std::printf("%td weights and biases, trained on %td digits; of %td others, at least 95 %% are right: %s  │ %.1f %%\n",
              dense.parameters().size(), train, test, accuracy(dense) >= 95 ? "yes" : "no", accuracy(dense));

  // Layer by layer, with the inputs of the network pruned so far.
  const auto wanda = [&](Net& net, double fraction) {
    for (const auto& layer : fg::linear_layers(net))
      layer.mask(fg::output_mask(fg::wanda_scores(layer.weights(), layer.inputs(x)), fraction));
  };
  const auto sparse_gpt = [&](Net& net, const fg::sparse_gpt_options& how) {
    for (const auto& layer : fg::linear_layers(net)) layer.set(fg::sparse_gpt(layer.weights(), layer.inputs(x), how));
  };

  const std::vector<double> fractions = {0.5, 0.7, 0.8, 0.9, 0.95, 0.98};
  std::vector<Curve> curves = {{"magnitude, each layer", "#888", {}},
                               {"magnitude, global", "#06c", {}},
                               {"Wanda", "#c60", {}},
                               {"SparseGPT", "#082", {}},
                               {"gradual, 15 epochs", "#b0b", {}}};
  for (const double fraction : fractions) {
    std::vector<Net> nets(curves.size(), dense);
    fg::prune(nets[0], {.fraction = fraction});
    fg::prune(nets[1], {.fraction = fraction, .global = true});
    wanda(nets[2], fraction);
    sparse_gpt(nets[3], {.fraction = fraction});
    const fg::fit_options gradually = {
        .epochs = 15,
        .batch = 50,
        .after_step = fg::pruning(nets[4], fg::cubic(0, 240), {.fraction = fraction, .global = true, .every = 12})};
    fg::fit(nets[4], x, y, fg::cross_entropy(), fg::adam{.rate = 0.002}, gradually);
    for (std::size_t c = 0; c < curves.size(); ++c) curves[c].accuracies.push_back(accuracy(nets[c]));
  }

  std::printf("\nright, of the other digits  │");
  for (const double fraction : fractions) std::printf("%6.0f %%", 100 * fraction);
  std::printf(" pruned\n");
  for (const Curve& curve : curves) {
    std::printf("%-27s │", curve.name.c_str());
    for (const double percent : curve.accuracies) std::printf("%6.1f %%", percent);
    std::printf("\n");
  }
  Net two_of_four = dense, compensated = dense;
  fg::prune(two_of_four, {.n = 2, .m = 4});
  sparse_gpt(compensated, {.n = 2, .m = 4});
  std::printf("2:4 by magnitude            │%6.1f %%\n2:4 by SparseGPT            │%6.1f %%\n", accuracy(two_of_four),
              accuracy(compensated));
  const double gradual = curves.back().accuracies[3];
  std::printf("\ngradual pruning of 90 %% costs at most 3 %%: %s\n", gradual >= accuracy(dense) - 3 ? "yes" : "no");

  // The pruned layers as sparse matrices.
  Net net = dense;
  fg::prune(net, {.fraction = 0.9, .global = true});
  const auto w0 = fg::sparse_weights<0>(net), w2 = fg::sparse_weights<2>(net), w4 = fg::sparse_weights<4>(net);
  Matrix out = held_out * w0;
  out = (out.rowwise() + net.biases<0>().transpose()).cwiseMax(0) * w2;
  out = (out.rowwise() + net.biases<2>().transpose()).cwiseMax(0) * w4;
  out.rowwise() += net.biases<4>().transpose();
  std::printf("as sparse matrices: %td of %td weights, the same outputs: %s\n",
              w0.nonZeros() + w2.nonZeros() + w4.nonZeros(), w0.size() + w2.size() + w4.size(),
              (out - net(held_out)).cwiseAbs().maxCoeff() < 1e-4 ? "yes" : "no");
  draw(curves, fractions, "prune_digits.svg");
}
