// Gradient of a convolution's weights and bias, in float32, for stride 1 and "same" padding by an odd side.
//
//   dw[k, c, i, j] = sum over n, h, w of g[n, h, w, k] * x[n, h + i - side/2, w + j - side/2, c]      db[k] = sum of g
//
// x is [N, H, W, C] and g is [N, H, W, K] in memory (channels last); pixels outside are zero. oneDNN, which does the
// other convolutions, has for AVX2 only an older and slower way to do this one.
//
// A tile of TALL x (8 * WIDE) sums stays in registers over a slab of rows that fits the first cache. Sums over slabs are
// added up for each of PIECES pieces of the batch in float32, those over pieces, in order, in float64: the result does
// not depend on the number of threads, and is more exact than one long sum.

#include <cstring>

namespace {

typedef float Vector __attribute__((vector_size(32), aligned(4), may_alias));

constexpr long LANES = 8;
constexpr long TALL = 6;      // with two vectors of inputs, 12 of the 16 registers
constexpr long SLAB = 256;    // pixels
constexpr long PIECES = 8;    // of the batch; weight_gradient_parts() says what they need
constexpr long OUTPUTS = 64;  // channels a task

struct Shape {
  long N, H, W, C, K, side;
  long taps() const { return side * side; }
  long part() const { return taps() * K * C + K; }  // floats of a piece: sums as [taps, K, C], then those of the bias
};

inline Vector load(const float* at) { return *reinterpret_cast<const Vector*>(at); }
inline void add(float* at, Vector value) { *reinterpret_cast<Vector*>(at) += value; }

// Add a tile of one tap over the rows first to last of one image; x, g and out begin at the tile's channels.
template <int tall, int wide>
void tile(const float* x, const float* g, float* out, const Shape& s, long first, long last, long down, long right) {
  Vector sums[tall][wide] = {};
  const long begin = right < 0 ? -right : 0, end = right > 0 ? s.W - right : s.W;
  for (long h = first; h < last; ++h) {
    if (h + down < 0 || h + down >= s.H) continue;
    const float *input = x + ((h + down) * s.W + begin + right) * s.C, *gradient = g + (h * s.W + begin) * s.K;
    for (long w = begin; w < end; ++w, input += s.C, gradient += s.K) {
      Vector values[wide];
      for (int v = 0; v < wide; ++v) values[v] = load(input + LANES * v);
      for (int k = 0; k < tall; ++k)
        for (int v = 0; v < wide; ++v) sums[k][v] += values[v] * gradient[k];
    }
  }
  for (int k = 0; k < tall; ++k)
    for (int v = 0; v < wide; ++v) add(out + k * s.C + LANES * v, sums[k][v]);
}

// Add all output channels from k to last, of the inputs that one or two vectors hold.
template <int wide>
void column(const float* x, const float* g, float* out, const Shape& s, long from, long to, long first, long last,
            long down, long right) {
  long k = from;
  for (; k + TALL <= to; k += TALL) tile<TALL, wide>(x, g + k, out + k * s.C, s, first, last, down, right);
  for (; k + 4 <= to; k += 4) tile<4, wide>(x, g + k, out + k * s.C, s, first, last, down, right);
  for (; k + 2 <= to; k += 2) tile<2, wide>(x, g + k, out + k * s.C, s, first, last, down, right);
}

void bias(const float* g, float* out, const Shape& s, long from, long to, long first, long last) {
  for (long k = from; k < to; k += LANES) {
    Vector even = {}, odd = {};
    long pixel = first * s.W;
    for (; pixel + 1 < last * s.W; pixel += 2) {
      even += load(g + pixel * s.K + k);
      odd += load(g + (pixel + 1) * s.K + k);
    }
    if (pixel < last * s.W) even += load(g + pixel * s.K + k);
    add(out + k, even + odd);
  }
}

void image(const float* x, const float* g, float* part, const Shape& s, long from, long to) {
  const long rows = s.W < SLAB ? SLAB / s.W : 1, reach = s.side / 2;
  for (long first = 0; first < s.H; first += rows) {
    const long last = first + rows < s.H ? first + rows : s.H;
    bias(g, part + s.taps() * s.K * s.C, s, from, to, first, last);
    for (long c = 0; c < s.C; c += 2 * LANES)
      for (long tap = 0; tap < s.taps(); ++tap) {
        float* out = part + tap * s.K * s.C + c;
        const auto body = s.C - c > LANES ? column<2> : column<1>;
        body(x + c, g, out, s, from, to, first, last, tap / s.side - reach, tap % s.side - reach);
      }
  }
}

void finish(const float* parts, float* dw, float* db, const Shape& s) {
  const long part = s.part(), taps = s.taps();
  const auto total = [=](long at) {
    double sum = 0;
    for (long piece = 0; piece < PIECES; ++piece) sum += parts[piece * part + at];
    return static_cast<float>(sum);
  };
#pragma omp parallel for schedule(static)
  for (long k = 0; k < s.K; ++k) {
    db[k] = total(taps * s.K * s.C + k);
    for (long tap = 0; tap < taps; ++tap)
      for (long c = 0; c < s.C; ++c) dw[(k * s.C + c) * taps + tap] = total((tap * s.K + k) * s.C + c);
  }
}

}  // namespace

// Floats of scratch space that weight_gradient wants.
extern "C" long weight_gradient_parts(long C, long K, long side) { return PIECES * Shape{0, 0, 0, C, K, side}.part(); }

// C and K are multiples of 8, the side is odd; dw is [K, C, side, side].
extern "C" void weight_gradient(const float* x, const float* g, float* dw, float* db, float* parts, long N, long H,
                                long W, long C, long K, long side) {
  const Shape s{N, H, W, C, K, side};
  const long chunks = (K + OUTPUTS - 1) / OUTPUTS;
#pragma omp parallel for schedule(static)
  for (long task = 0; task < PIECES * chunks; ++task) {
    const long piece = task / chunks, from = task % chunks * OUTPUTS, to = from + OUTPUTS < K ? from + OUTPUTS : K;
    float* part = parts + piece * s.part();
    for (long tap = 0; tap < s.taps(); ++tap) std::memset(part + (tap * K + from) * C, 0, (to - from) * C * sizeof(float));
    std::memset(part + s.taps() * K * C + from, 0, (to - from) * sizeof(float));
    for (long n = piece * N / PIECES; n < (piece + 1) * N / PIECES; ++n)
      image(x + n * H * W * C, g + n * H * W * K, part, s, from, to);
  }
  finish(parts, dw, db, s);
}
