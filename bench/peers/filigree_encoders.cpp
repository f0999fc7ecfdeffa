// SPDX-License-Identifier: MIT
// filigree_encoders folder case threads sizes...: computes loss and gradients of an autoencoder from raw arrays in the
// folder, and writes them to the folder. The docstring of encoders.py documents the cases, the files and the output.

#include <array>
#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iostream>
#include <string>

#include "clock.hpp"

namespace fg = filigree;
using Eigen::Index;

template <class S>
static void read(const std::string& path, S* data, Index count) {
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(data), count * static_cast<std::streamsize>(sizeof(S)))) std::exit(1);
}

template <class S>
static void write(const std::string& path, const S* data, Index count) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(data), count * static_cast<std::streamsize>(sizeof(S)));
}

/// The parameters of one layer in one file: the name of the file, and their range in the parameter vector.
struct Part {
  std::string name;
  Index begin, size;
};

/// Returns the weights and biases of the stages `encoder` and `decoder`.
template <std::size_t encoder, std::size_t decoder, class Net>
static std::array<Part, 4> parts(const Net& net, const std::array<const char*, 4>& names) {
  const auto &e = net.template stage<encoder>(), &d = net.template stage<decoder>();
  const Index encoder_at = net.offset(encoder), decoder_at = net.offset(decoder);
  return {{{names[0], encoder_at, e.weight_count()},
           {names[1], encoder_at + e.weight_count(), e.out},
           {names[2], decoder_at, d.weight_count()},
           {names[3], decoder_at + d.weight_count(), d.out}}};
}

struct Job {
  std::string folder;
  Index n, threads;
};

/// Computes loss and gradients once for each line of the input.
template <class Net, class Objective>
static void answer(Net& net, const std::array<Part, 4>& parts, const Objective& objective, const Job& job) {
  typename Net::Matrix x(job.n, net.inputs());
  typename Net::Vector gradient(net.parameters().size());
  read(job.folder + "/x", x.data(), x.size());
  for (const auto& [name, begin, size] : parts) read(job.folder + "/" + name, net.parameters().data() + begin, size);

  fg::thread_pool pool(job.threads);
  fg::Pass pass(net, pool);
  for (std::string line; std::getline(std::cin, line);) {
    const double start = seconds(job.threads == 1);
    const double loss = pass.gradient(net, x, x, objective, gradient);
    const double took = seconds(job.threads == 1) - start;
    write(job.folder + "/loss", &loss, 1);
    for (const auto& [name, begin, size] : parts) write(job.folder + "/grad_" + name, gradient.data() + begin, size);
    std::cout << took << std::endl;
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string name = argv[2];
  const auto size = [&](int i) { return std::atol(argv[4 + i]); };
  const auto weight = [&](int i) { return std::atof(argv[4 + i]); };
  if (name == "top_k" && argc == 8) {
    const Index d = size(1), latents = size(2), k = size(3);
    auto net =
        fg::autoencoder(fg::pre_bias() | fg::linear(d, latents) | fg::top_k(k) | fg::relu(), fg::linear(latents, d));
    answer(net, parts<1, 4>(net, {"w_enc", "b_enc", "w_dec", "b_pre"}), fg::squared_error(),
           {argv[1], size(0), std::atol(argv[3])});
  } else if (name == "ufldl" && argc == 10) {
    const Index visible = size(1), hidden = size(2);
    const double lambda = weight(3), beta = weight(4), rho = weight(5);
    auto net = fg::autoencoder(fg::linear<double>(visible, hidden) | fg::sigmoid() | fg::penalize(beta * fg::kl(rho)),
                               fg::linear<double>(hidden, visible) | fg::sigmoid());
    answer(net, parts<0, 3>(net, {"w1", "b1", "w2", "b2"}), 0.5 * fg::squared_error() + lambda * fg::weight_decay(),
           {argv[1], size(0), std::atol(argv[3])});
  } else {
    return 2;
  }
}
