// SPDX-License-Identifier: MIT
// Do sparse autoencoders recover a known dictionary? The samples are sums of 1 to 5 of 256 atoms in 64 dimensions, with
// coefficients from 0.5 to 1.5 and a little noise. Six kinds of autoencoders learn from them with twice as many
// latents as atoms. A perfect autoencoder has 3 active latents on average and 256 unused latents. Its atoms are matched
// with the true ones: a mean cosine of 1 means that all are recovered. Codes and errors are measured on new samples.
//
// The noise alone gives an error of 0.01, which orthogonal matching pursuit with the true atoms reaches. Encoders of
// one layer do not come close: the atoms overlap, and they cannot subtract an atom before they select the next. The
// encoder pursuit does, and stops when the residual of a sample is as small as the noise. TopK keeps 3 latents even for
// 1 or 5 atoms. Gated misses some atoms. With a lower factor it misses fewer, but then has more active latents.
//
//   ground_truth [samples]
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <iostream>
#include <vector>

namespace fg = filigree;

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr fg::Index width = 64, latents = 512;

struct Problem {
  Matrix atoms, train, test;
  Eigen::VectorXf center;
};

Matrix draw_samples(const Matrix& atoms, fg::Index count, fg::Generator& generator) {
  Matrix samples(count, width);
  fg::fill_normal(samples, generator);
  samples *= 0.02F;
  std::vector<fg::Index> chosen;
  for (fg::Index i = 0; i < count; ++i) {
    chosen.resize(static_cast<std::size_t>(1 + generator.below(5)));
    generator.sample_without_replacement(atoms.rows(), chosen);
    for (const fg::Index j : chosen) samples.row(i) += static_cast<float>(generator.uniform(0.5, 1.5)) * atoms.row(j);
  }
  return samples;
}

Problem draw_problem(fg::Index samples) {
  fg::Generator generator(1);
  Problem problem = {.atoms = Matrix(256, width), .train = {}, .test = {}, .center = {}};
  fg::fill_normal(problem.atoms, generator);
  problem.atoms.rowwise().normalize();
  problem.train = draw_samples(problem.atoms, samples, generator);
  problem.test = draw_samples(problem.atoms, 5000, generator);
  problem.center = fg::geometric_median(problem.train);
  return problem;
}

template <class Encoder, class Objective>
auto learn(const Problem& problem, const Encoder& encoder, const Objective& objective) {
  auto sae = fg::autoencoder(encoder, fg::linear(latents, width).unit_norm_rows());
  constexpr std::size_t decoder = decltype(sae)::depth - 1;
  if constexpr (requires { sae.template stage<1>().out; })  // pursuit has no weights
    sae.template weights<1>() = sae.template weights<decoder>().transpose();
  sae.template biases<decoder>() = problem.center;
  constexpr fg::Index epochs = 6, batch = 128;
  const fg::Index steps = epochs * ((problem.train.rows() + batch - 1) / batch);
  fg::fit(sae, problem.train, objective, fg::adam{.rate = 1e-2},
          {.epochs = epochs, .batch = batch, .schedule = fg::cosine(steps, steps / 20)});
  return sae;
}

template <class Sae>
void print(const char* name, const Problem& problem, const Sae& sae) {
  const Matrix codes = sae.encode(problem.test);
  std::printf("%-10s %11.2f %14.2f %14.1f  │ %12td\n", name,
              fg::mcc(sae.template weights<Sae::depth - 1>(), problem.atoms),
              fg::normalized_mse(problem.test, sae.decode(codes)), fg::l0(codes), std::ssize(fg::dead_latents(codes)));
}

void compare(fg::Index samples) {
  const Problem problem = draw_problem(samples);
  const auto linear = fg::pre_bias() | fg::linear(width, latents);
  const auto error = fg::squared_error();
  const auto revived = error + (1.0 / 32) * fg::aux_k(32, {.after = 5000});

  std::printf("           mean cosine  squared error  active latents  │ never active\n");
  print("TopK", problem, learn(problem, linear | fg::top_k(3) | fg::relu(), revived));
  print("BatchTopK", problem,
        fg::calibrated(learn(problem, linear | fg::batch_top_k(3) | fg::relu(), revived), problem.train));
  print(
      "JumpReLU", problem,
      learn(problem, linear | fg::jump_relu(latents, {.theta = 0.1, .bandwidth = 0.1}) | fg::penalize(0.05 * fg::l0()),
            error));
  print("Gated", problem,
        learn(problem, fg::pre_bias() | fg::gated(width, latents), error + fg::gate_l1() + fg::gate_reconstruction()));
  // L1 lowers each coefficient by half its factor. A factor with only 3 active latents removes the small coefficients.
  print("L1", problem, learn(problem, linear | fg::relu() | fg::penalize(0.5 * fg::l1()), error));
  // A sample stops when its residual is as small as the noise, whose norm is 0.16 on average.
  const fg::matching_pursuit method = {.k = 6, .tolerance = 0.35, .non_negative = true};
  print("pursuit", problem, learn(problem, fg::pre_bias() | fg::pursuit(width, latents, method), error));
}

}  // namespace

int main(int count, char** words) try {
  const fg::Index samples = count > 1 ? std::atoi(words[1]) : 100000;
  if (samples < 1) {
    std::cerr << "ground_truth [samples]\n";
    return 2;
  }
  compare(samples);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
