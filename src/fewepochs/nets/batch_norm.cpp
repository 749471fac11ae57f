// Batch normalisation and ReLU in one, forward and backward, on rows of channels: x is [M, C] with M = N*H*W.
//
//   forward    y  = act(x * scale + shift)          scale = gamma / sqrt(var + eps), shift = beta - mean * scale
//   backward   gm = g where act passed, else 0      the pass is recomputed from x, so nothing else is kept
//              dx = scale * (gm - sum(gm)/M - (x - mean) * invstd^2 * sum(gm * (x - mean))/M)
//
// Sums are taken over fixed pieces of ROWS rows in float32, and over the pieces, in order, in float64: the result does
// not depend on the number of threads, and is more exact than one long sum. A NaN passes through both directions.
//
// Plain C interface, no other headers: compiled in a second or two, called through ctypes. OpenMP symbols are
// those of the library that the process has loaded already.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

constexpr long ROWS = 256;  // rows a piece
constexpr long LANES = 32;  // channels at a time

struct bfloat16 {
  uint16_t bits;
};

inline float widen(float value) { return value; }

inline float widen(bfloat16 value) {
  uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

inline void narrow(float value, float& out) { out = value; }

inline void narrow(float value, bfloat16& out) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  out.bits = static_cast<uint16_t>(value != value ? 0x7fc0u : rounded);
}

// Sums of two functions of every element, per channel, in pieces: parts is [pieces, 2, C].
template <typename T, typename Terms>
void piecewise_sums(long M, long C, float* parts, const Terms& terms) {
  const long pieces = (M + ROWS - 1) / ROWS;
#pragma omp parallel for schedule(static)
  for (long piece = 0; piece < pieces; ++piece) {
    const long first = piece * ROWS, last = first + ROWS < M ? first + ROWS : M;
    float* out = parts + piece * 2 * C;
    for (long base = 0; base < C; base += LANES) {
      const long width = C - base < LANES ? C - base : LANES;
      float one[LANES] = {}, two[LANES] = {};
      if (width == LANES) {
        for (long row = first; row < last; ++row) {
#pragma GCC ivdep
          for (long lane = 0; lane < LANES; ++lane) terms(row, base + lane, one[lane], two[lane]);
        }
      } else {
        for (long row = first; row < last; ++row)
          for (long lane = 0; lane < width; ++lane) terms(row, base + lane, one[lane], two[lane]);
      }
      std::memcpy(out + base, one, width * sizeof(float));
      std::memcpy(out + C + base, two, width * sizeof(float));
    }
  }
}

double total(const float* parts, long pieces, long C, long which, long channel) {
  double sum = 0;
  for (long piece = 0; piece < pieces; ++piece) sum += parts[(piece * 2 + which) * C + channel];
  return sum;
}

template <typename Body>
void rows(long M, long C, const Body& body) {
#pragma omp parallel for schedule(static)
  for (long row = 0; row < M; ++row) {
#pragma GCC ivdep
    for (long channel = 0; channel < C; ++channel) body(row * C + channel, channel);
  }
}

template <typename T>
void apply(const T* x, T* y, const float* scale, const float* shift, long M, long C, int relu) {
  if (relu) {
    rows(M, C, [=](long i, long c) {
      const float value = widen(x[i]) * scale[c] + shift[c];
      narrow(value < 0 ? 0.0f : value, y[i]);
    });
  } else {
    rows(M, C, [=](long i, long c) { narrow(widen(x[i]) * scale[c] + shift[c], y[i]); });
  }
}

// kept is [4, C]: mean, 1/sqrt(variance + eps), scale, shift. variance is the unbiased one.
template <typename T>
void forward(const T* x, T* y, const float* gamma, const float* beta, float* mean, float* variance, float* kept,
             float* parts, long M, long C, double eps, int relu) {
  const long pieces = (M + ROWS - 1) / ROWS;
  // Deviations from the first row, not from zero: squares of large values would drown a small variance.
  piecewise_sums<T>(M, C, parts, [=](long row, long c, float& one, float& two) {
    const float deviation = widen(x[row * C + c]) - widen(x[c]);
    one += deviation;
    two += deviation * deviation;
  });
  for (long c = 0; c < C; ++c) {
    const double first = total(parts, pieces, C, 0, c) / M, second = total(parts, pieces, C, 1, c) / M;
    const double spread = second - first * first, biased = spread < 0 ? 0 : spread;
    const double centre = widen(x[c]) + first, inverse = 1 / std::sqrt(biased + eps);
    mean[c] = static_cast<float>(centre);
    variance[c] = static_cast<float>(M > 1 ? biased * M / (M - 1) : 0);
    kept[c] = static_cast<float>(centre);
    kept[C + c] = static_cast<float>(inverse);
    kept[2 * C + c] = static_cast<float>(gamma[c] * inverse);
    kept[3 * C + c] = static_cast<float>(beta[c] - centre * gamma[c] * inverse);
  }
  apply(x, y, kept + 2 * C, kept + 3 * C, M, C, relu);
}

template <bool relu, typename T>
void backward(const T* g, const T* x, T* dx, float* dgamma, float* dbeta, const float* kept, float* parts, float* work,
              long M, long C) {
  const long pieces = (M + ROWS - 1) / ROWS;
  const float *mean = kept, *inverse = kept + C, *scale = kept + 2 * C, *shift = kept + 3 * C;
  const auto masked = [=](long i, long c, float value) {
    const float gradient = widen(g[i]);
    if (!relu) return gradient;
    const float passed = value * scale[c] + shift[c];
    return passed <= 0 ? 0.0f : gradient;
  };
  piecewise_sums<T>(M, C, parts, [=](long row, long c, float& one, float& two) {
    const float value = widen(x[row * C + c]), gradient = masked(row * C + c, c, value);
    one += gradient;
    two += gradient * (value - mean[c]);
  });
  float *constant = work, *slope = work + C;  // dx = scale * gm - slope * x - constant
  for (long c = 0; c < C; ++c) {
    const double sum = total(parts, pieces, C, 0, c), cross = total(parts, pieces, C, 1, c);
    dbeta[c] = static_cast<float>(sum);
    dgamma[c] = static_cast<float>(cross * inverse[c]);
    slope[c] = static_cast<float>(scale[c] * inverse[c] * inverse[c] * cross / M);
    constant[c] = static_cast<float>(scale[c] * sum / M);
  }
  rows(M, C, [=](long i, long c) {
    const float value = widen(x[i]);
    narrow(scale[c] * masked(i, c, value) - slope[c] * (value - mean[c]) - constant[c], dx[i]);
  });
}

}  // namespace

#define EXPORT(T, suffix)                                                                                            \
  extern "C" void bn_forward_##suffix(const T* x, T* y, const float* gamma, const float* beta, float* mean,          \
                                      float* variance, float* kept, float* parts, long M, long C, double eps,        \
                                      int relu) {                                                                    \
    forward(x, y, gamma, beta, mean, variance, kept, parts, M, C, eps, relu);                                        \
  }                                                                                                                  \
  extern "C" void bn_apply_##suffix(const T* x, T* y, const float* scale, const float* shift, long M, long C,        \
                                    int relu) {                                                                      \
    apply(x, y, scale, shift, M, C, relu);                                                                           \
  }                                                                                                                  \
  extern "C" void bn_backward_##suffix(const T* g, const T* x, T* dx, float* dgamma, float* dbeta, const float* kept, \
                                       float* parts, float* work, long M, long C, int relu) {                        \
    (relu ? backward<true, T> : backward<false, T>)(g, x, dx, dgamma, dbeta, kept, parts, work, M, C);               \
  }

EXPORT(float, float32)
EXPORT(bfloat16, bfloat16)
