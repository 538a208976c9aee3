/* ULW-SleepNet from signals to logits, one signal after another, for inference: see whole_network.py.

A layer's values lie as rows, a row for each sample with all its features, so that a vector holds features: a sum over
inputs multiplies one number with a vector of weights, and pooling compares neighbouring rows. A row of zeros stands
before the first sample and behind the last one, where a convolution of three samples looks beyond the signal. All rows
of a signal stay in the second cache. Nothing here assumes that numbers are finite: a NaN stays one. */

#include <stdint.h>
#include <string.h>

#if defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
#if defined __AVX512VL__ || defined __aarch64__
#define POSITIONS 8 /* at a time in registers, of which there are 32 */
#else
#define POSITIONS 4
#endif
#define VECTORS 2 /* of outputs at a time in registers */
#define ALWAYS static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t mask __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

typedef struct {
    int64_t n_epochs, n_channels, time, n_classes;
    const float *x;       /* (n_epochs, n_channels, time) */
    const float *weights; /* in the order in which they are used; matrices (n_inputs, n_outputs) */
    float *scratch;       /* scratch_size() numbers */
    float *logits;        /* (n_epochs, n_classes) */
} Network;

ALWAYS vec load(const float *p) { return *(const vec *)p; }
ALWAYS void store(float *p, vec value) { *(vec *)p = value; }
ALWAYS vec larger(vec a, vec b) {
    const mask is_a = (a >= b) | (a != a);
    return (vec)(((mask)a & is_a) | ((mask)b & ~is_a));
}
ALWAYS vec relu(vec a) { return (vec)((mask)a & ~(a <= 0)); }

/* sum[p][v] = bias + the inputs of a row times weights, for rows that lie `stride` apart and vectors of outputs. */
ALWAYS void multiply(int n_rows, int n_vectors, const float *rows, int64_t stride, int n_inputs, const float *weights,
                     const float *bias, int n_outputs, vec sum[][VECTORS]) {
#pragma GCC unroll 8
    for (int p = 0; p < n_rows; p++)
#pragma GCC unroll 2
        for (int v = 0; v < n_vectors; v++) sum[p][v] = load(bias + v * LANES);
#pragma GCC unroll 4
    for (int i = 0; i < n_inputs; i++)
#pragma GCC unroll 2
        for (int v = 0; v < n_vectors; v++) {
            const vec weight = load(weights + i * n_outputs + v * LANES);
#pragma GCC unroll 8
            for (int p = 0; p < n_rows; p++) sum[p][v] += rows[p * stride + i] * weight;
        }
}

/* A convolution of three samples, with a ReLU and pooling by two behind it, or without pooling for the last of an odd
   number of samples; a shortcut is added where there is one. */
typedef struct {
    const float *each;     /* (3, n_inputs): of every input alone; null: there is one input, whose three samples are
                              mixed */
    const float *mixing;   /* (n_inputs, n_outputs), or (3, n_outputs) */
    const float *bias;     /* (n_outputs) */
    const float *shortcut; /* (n_before, n_outputs), then (n_outputs); null: there is none */
    const float *before;   /* the rows of the block's input, of which the shortcut sees every fourth */
} Weights;

ALWAYS void convolve(int n_rows, int n_inputs, int n_outputs, int n_before, Weights w, const float *in, int64_t first,
                     float *out) {
    const int n_vectors = n_outputs / LANES < VECTORS ? n_outputs / LANES : VECTORS;
    const int n_pooled = (n_rows + 1) / 2, apart = n_rows > 1; /* rows of a pair */
    float mixed[POSITIONS * 32]; /* the most inputs */
    const float *rows = in + first - 1;
    if (w.each) {
        rows = mixed;
        for (int i = 0; i < n_inputs; i += LANES) {
            const float *from = in + (first - 1) * n_inputs + i;
            const vec left = load(w.each + i), here = load(w.each + n_inputs + i), right = load(w.each + 2 * n_inputs + i);
#pragma GCC unroll 8
            for (int p = 0; p < n_rows; p++)
                store(mixed + p * n_inputs + i, left * load(from + p * n_inputs) + here * load(from + (p + 1) * n_inputs) +
                                                    right * load(from + (p + 2) * n_inputs));
        }
    }
    for (int o = 0; o < n_outputs; o += n_vectors * LANES) {
        vec sum[POSITIONS][VECTORS], beside[POSITIONS / 2][VECTORS];
        multiply(n_rows, n_vectors, rows, n_inputs, w.each ? n_inputs : 3, w.mixing + o, w.bias + o, n_outputs, sum);
        if (w.shortcut)
            multiply(n_pooled, n_vectors, w.before + 2 * first * n_before, 4 * n_before, n_before, w.shortcut + o,
                     w.shortcut + n_before * n_outputs + o, n_outputs, beside);
#pragma GCC unroll 4
        for (int p = 0; p < n_pooled; p++)
#pragma GCC unroll 2
            for (int v = 0; v < n_vectors; v++) {
                vec pooled = relu(larger(sum[2 * p][v], sum[2 * p + apart][v]));
                if (w.shortcut) pooled += beside[p][v];
                store(out + (first / 2 + p) * n_outputs + o + v * LANES, pooled);
            }
    }
}

/* A whole layer: from `time` rows of n_inputs to (time + 1) / 2 rows of n_outputs, with zeros around. */
ALWAYS void layer(int n_inputs, int n_outputs, int n_before, Weights w, const float *in, int64_t time, float *out) {
    const int64_t even = time / 2 * 2;
    if (even >= POSITIONS)
        for (int64_t t = 0; t < even; t += POSITIONS) /* the last ones may be computed twice */
            convolve(POSITIONS, n_inputs, n_outputs, n_before, w, in, t + POSITIONS < even ? t : even - POSITIONS, out);
    else
        for (int64_t t = 0; t < even; t += 2) convolve(2, n_inputs, n_outputs, n_before, w, in, t, out);
    if (time % 2) convolve(1, n_inputs, n_outputs, n_before, w, in, time - 1, out);
    memset(out - n_outputs, 0, 4 * n_outputs);
    memset(out + (time + 1) / 2 * n_outputs, 0, 4 * n_outputs);
}

static int64_t halved(int64_t time) { return (time + 1) / 2; }
static int64_t rows_size(int64_t time, int n_features) { return (time + 2) * n_features; }

/* A block: from `time` rows of n_inputs to a quarter of them, of n_outputs. Returns the weights behind its own. */
ALWAYS const float *block(int n_inputs, int n_outputs, const float *w, const float *in, int64_t time, float *half,
                          float *out) {
    Weights one = {.each = n_inputs > 1 ? w : 0}, two = {0};
    w += n_inputs > 1 ? 3 * n_inputs : 0;
    one.mixing = w, w += (n_inputs > 1 ? n_inputs : 3) * n_outputs;
    one.bias = w, w += n_outputs;
    two.each = w, w += 3 * n_outputs;
    two.mixing = w, w += n_outputs * n_outputs;
    two.bias = w, w += n_outputs;
    two.shortcut = w, w += n_inputs * n_outputs + n_outputs;
    two.before = in;
    layer(n_inputs, n_outputs, n_inputs, one, in, time, half);
    layer(n_outputs, n_outputs, n_inputs, two, half, halved(time), out);
    return w;
}

enum { SIGNAL = 1, SMALL = 8, MIDDLE = 16, LARGE = 32 }; /* features before the blocks and behind each */

/* A block's input, what is between its layers, and its output, which is the next block's input. */
typedef struct {
    int64_t first, between, second;
} Places;

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static Places places(int64_t time) {
    const int64_t two = halved(time), four = halved(two), eight = halved(four), sixteen = halved(eight);
    const int64_t thirty_two = halved(sixteen), sixty_four = halved(thirty_two);
    return (Places){
        .first = most(rows_size(time, SIGNAL), rows_size(sixteen, MIDDLE)),
        .between = most(rows_size(two, SMALL), most(rows_size(eight, MIDDLE), rows_size(thirty_two, LARGE))),
        .second = most(rows_size(four, SMALL), rows_size(sixty_four, LARGE)),
    };
}

int64_t scratch_size(const Network *n) {
    const Places p = places(n->time);
    return p.first + p.between + p.second + n->n_channels * LARGE;
}

/* The means over time of what the blocks make of a signal. Returns the weights behind those of the blocks. */
static const float *features(const Network *n, const float *signal, float *means) {
    const Places p = places(n->time);
    const int64_t four = halved(halved(n->time)), sixteen = halved(halved(four)), sixty_four = halved(halved(sixteen));
    float *first = n->scratch, *between = first + p.first, *second = between + p.between;
    memcpy(first + 1, signal, 4 * n->time);
    first[0] = first[n->time + 1] = 0;
    const float *w = n->weights;
    w = block(SIGNAL, SMALL, w, first + SIGNAL, n->time, between + SMALL, second + SMALL);
    w = block(SMALL, MIDDLE, w, second + SMALL, four, between + MIDDLE, first + MIDDLE);
    w = block(MIDDLE, LARGE, w, first + MIDDLE, sixteen, between + LARGE, second + LARGE);
    const float *rows = second + LARGE;
    for (int o = 0; o < LARGE; o++) means[o] = 0;
    for (int64_t t = 0; t < sixty_four; t++)
        for (int o = 0; o < LARGE; o++) means[o] += rows[t * LARGE + o];
    for (int o = 0; o < LARGE; o++) means[o] /= sixty_four;
    return w;
}

void classify(const Network *n) {
    const int64_t n_means = n->n_channels * LARGE;
    float *means = n->scratch + scratch_size(n) - n_means, *logits = n->logits;
    for (int64_t e = 0; e < n->n_epochs; e++, logits += n->n_classes) {
        const float *w = n->weights;
        for (int64_t c = 0; c < n->n_channels; c++)
            w = features(n, n->x + (e * n->n_channels + c) * n->time, means + c * LARGE);
        memcpy(logits, w + n_means * n->n_classes, 4 * n->n_classes);
        for (int64_t i = 0; i < n_means; i++)
            for (int64_t k = 0; k < n->n_classes; k++) logits[k] += means[i] * w[i * n->n_classes + k];
    }
}
