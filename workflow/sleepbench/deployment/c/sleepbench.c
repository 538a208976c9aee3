/* ULW-SleepNet, sample by sample: see sleepbench.h.

Nothing in the network depends on the whole epoch before the mean over time at its end. So each sample goes through all
layers as far as it can, and of a layer's input only the last three vectors are kept. Two convolutions, one before and
one after, are computed at a time, for a pooled output is the larger of two.

An epoch is padded by zeros at either end, as in training: it depends on no other. */

#include "sleepbench.h"

#define LARGEST 32 /* of a layer's inputs and outputs */
#define BLOCKS 3
#define PADDED 3 /* vectors of a layer's input that are kept */

#if SLEEPBENCH_BITS == 32
typedef float weight_t;
typedef float bias_t;
typedef float sum_t;
typedef float filtered_t;
#else
typedef int8_t weight_t;
typedef int32_t bias_t;
typedef int32_t sum_t;
typedef sleepbench_value filtered_t;
#endif

typedef struct {
    int n_inputs, n_outputs;
    const weight_t *depthwise; /* [n_inputs][3] */
    const weight_t *pointwise; /* [n_outputs / GROUP][n_inputs][GROUP] */
    const bias_t *bias;
#if SLEEPBENCH_BITS != 32
    const int32_t *multiplier; /* from sums to filtered values */
    int32_t mask;              /* of an input: of rectified ones there are no negative */
#endif
} convolution;

typedef struct {
    convolution main[2];
    const weight_t *shortcut; /* [n_filters / GROUP][n_inputs][GROUP] */
    const bias_t *shortcut_bias;
#if SLEEPBENCH_BITS != 32
    const int32_t *pooled_multiplier, *output_multiplier, *shortcut_multiplier;
#endif
    int input, skipped, pooled; /* where a channel keeps this block's last vectors */
} block;

#if SLEEPBENCH_BITS == 32
#include "sleepbench_float32.h"
#elif SLEEPBENCH_BITS == 16
#include "sleepbench_w8a16.h"
#else
#include "sleepbench_int8.h"
#endif

typedef char state_has_the_size_that_is_said[sizeof(sleepbench_state) == SLEEPBENCH_STATE_BYTES ? 1 : -1];

static const sleepbench_value ZEROS[LARGEST] = {0};

/* ------------------------------------------------------------------------------------------------------- arithmetic */

static sum_t larger(sum_t a, sum_t b)
{
    return a > b ? a : b;
}

/* `convolve` of one input, as the first layer has. */
static void convolve_one(const convolution *c, const filtered_t *x, sum_t *out)
{
    const sum_t f0 = x[0], f1 = x[1];
    int o;
    for (o = 0; o < c->n_outputs; o++) {
        const weight_t w = c->pointwise[o];
        out[o] = larger(larger(w * f0, w * f1) + c->bias[o], 0);
    }
}

#if SLEEPBENCH_BITS == 32

#define GROUP 4

static sleepbench_value from_microvolts(float x)
{
    return x;
}

/* The inputs x[0] to x[3] through the depthwise convolution, at x[1] and at x[2]: side by side. */
static void filter(const convolution *c, const sleepbench_value *const x[4], filtered_t *out)
{
    const sleepbench_value *before = x[0], *here = x[1], *next = x[2], *after = x[3];
    const weight_t *w = c->depthwise;
    int i;
    for (i = 0; i < c->n_inputs; i++, w += 3, out += 2) {
        out[0] = w[0] * before[i] + w[1] * here[i] + w[2] * next[i];
        out[1] = w[0] * here[i] + w[1] * next[i] + w[2] * after[i];
    }
}

/* Pointwise convolution of both, ReLU, and the larger of the two. */
static void convolve(const convolution *c, const filtered_t *x, sum_t *out)
{
    const weight_t *w = c->pointwise;
    int o, i;
    for (o = 0; o < c->n_outputs; o += GROUP, out += GROUP) {
        const bias_t *bias = c->bias + o;
        const filtered_t *f = x;
        sum_t a0 = bias[0], a1 = a0, b0 = bias[1], b1 = b0, c0 = bias[2], c1 = c0, d0 = bias[3], d1 = d0;
        for (i = 0; i < c->n_inputs; i += 2, w += 2 * GROUP, f += 4) {
            a0 += w[0] * f[0], a1 += w[0] * f[1], b0 += w[1] * f[0], b1 += w[1] * f[1];
            c0 += w[2] * f[0], c1 += w[2] * f[1], d0 += w[3] * f[0], d1 += w[3] * f[1];
            a0 += w[4] * f[2], a1 += w[4] * f[3], b0 += w[5] * f[2], b1 += w[5] * f[3];
            c0 += w[6] * f[2], c1 += w[6] * f[3], d0 += w[7] * f[2], d1 += w[7] * f[3];
        }
        out[0] = larger(larger(a0, a1), 0), out[1] = larger(larger(b0, b1), 0);
        out[2] = larger(larger(c0, c1), 0), out[3] = larger(larger(d0, d1), 0);
    }
}

static void keep_pooled(const block *b, const sum_t *sums, sleepbench_value *out)
{
    int o;
    for (o = 0; o < b->main[0].n_outputs; o++) out[o] = sums[o];
}

/* The main path's sums and the shortcut of the block's input. */
static void join(const block *b, const sum_t *sums, const sleepbench_value *x, sleepbench_value *out)
{
    const weight_t *w = b->shortcut;
    int o, i;
    for (o = 0; o < b->main[1].n_outputs; o += GROUP) {
        const bias_t *bias = b->shortcut_bias + o;
        sum_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
        for (i = 0; i < b->main[0].n_inputs; i++, w += GROUP)
            s0 += w[0] * x[i], s1 += w[1] * x[i], s2 += w[2] * x[i], s3 += w[3] * x[i];
        out[o] = sums[o] + s0, out[o + 1] = sums[o + 1] + s1;
        out[o + 2] = sums[o + 2] + s2, out[o + 3] = sums[o + 3] + s3;
    }
}

static sleepbench_logit logit_of(int stage, const sleepbench_state *state)
{
    float sum = 0;
    int c, f;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++)
        for (f = 0; f < LARGEST; f++) sum += HEAD[stage][c][f] * state->channels[c].sums[f];
    return sum / SLEEPBENCH_STEPS + HEAD_BIAS[stage];
}

#else

#define GROUP 2
#define LOWEST (-(1 << (SLEEPBENCH_BITS - 1)))
#define HIGHEST ((1 << (SLEEPBENCH_BITS - 1)) - 1)
#define RECTIFIED ((1 << SLEEPBENCH_BITS) - 1)

/* A product of a sum and a multiplier in the steps of an activation. A right shift of a negative number is taken to keep
its sign, as it does with every compiler for these processors. */
static int32_t rescaled(int64_t product)
{
    return (int32_t)((product + ((int64_t)1 << 31)) >> 32);
}

static sleepbench_value limited(int32_t x)
{
    return (sleepbench_value)((sleepbench_value)x == x ? x : x < 0 ? LOWEST : HIGHEST);
}

static sleepbench_value from_microvolts(float x)
{
    x *= PER_MICROVOLT;
    if (x < (float)LOWEST) x = (float)LOWEST;
    if (x > (float)HIGHEST) x = (float)HIGHEST;
    return (sleepbench_value)(int32_t)(x < 0 ? x - 0.5f : x + 0.5f);
}

static void filter(const convolution *c, const sleepbench_value *const x[4], filtered_t *out)
{
    const sleepbench_value *before = x[0], *here = x[1], *next = x[2], *after = x[3];
    const weight_t *w = c->depthwise;
    const int32_t mask = c->mask;
    int i;
    for (i = 0; i < c->n_inputs; i++, w += 3, out += 2) {
        const int32_t x1 = here[i] & mask, x2 = next[i] & mask;
        const int32_t first = w[0] * (before[i] & mask) + w[1] * x1 + w[2] * x2;
        const int32_t second = w[0] * x1 + w[1] * x2 + w[2] * (after[i] & mask);
        out[0] = limited(rescaled((int64_t)first * c->multiplier[i]));
        out[1] = limited(rescaled((int64_t)second * c->multiplier[i]));
    }
}

static void convolve(const convolution *c, const filtered_t *x, sum_t *out)
{
    const weight_t *w = c->pointwise;
    int o, i;
    for (o = 0; o < c->n_outputs; o += GROUP, out += GROUP) {
        const filtered_t *f = x;
        sum_t a0 = c->bias[o], a1 = a0, b0 = c->bias[o + 1], b1 = b0;
        for (i = 0; i < c->n_inputs; i += 4, w += 4 * GROUP, f += 8) {
            a0 += w[0] * f[0], a1 += w[0] * f[1], b0 += w[1] * f[0], b1 += w[1] * f[1];
            a0 += w[2] * f[2], a1 += w[2] * f[3], b0 += w[3] * f[2], b1 += w[3] * f[3];
            a0 += w[4] * f[4], a1 += w[4] * f[5], b0 += w[5] * f[4], b1 += w[5] * f[5];
            a0 += w[6] * f[6], a1 += w[6] * f[7], b0 += w[7] * f[6], b1 += w[7] * f[7];
        }
        out[0] = larger(larger(a0, a1), 0), out[1] = larger(larger(b0, b1), 0);
    }
}

static void keep_pooled(const block *b, const sum_t *sums, sleepbench_value *out)
{
    int o;
    for (o = 0; o < b->main[0].n_outputs; o++) {
        const int32_t x = rescaled((int64_t)sums[o] * b->pooled_multiplier[o]);
        out[o] = (sleepbench_value)(x > RECTIFIED ? RECTIFIED : x);
    }
}

static sleepbench_value joined(const block *b, int o, sum_t main, sum_t skipped)
{
    const int64_t product = (int64_t)main * b->output_multiplier[o];
    return limited(rescaled(product + (int64_t)skipped * b->shortcut_multiplier[o]));
}

static void join(const block *b, const sum_t *sums, const sleepbench_value *x, sleepbench_value *out)
{
    const weight_t *w = b->shortcut;
    int o, i;
    for (o = 0; o < b->main[1].n_outputs; o += GROUP) {
        sum_t s0 = b->shortcut_bias[o], s1 = b->shortcut_bias[o + 1];
        for (i = 0; i < b->main[0].n_inputs; i++, w += GROUP) s0 += w[0] * x[i], s1 += w[1] * x[i];
        out[o] = joined(b, o, sums[o], s0), out[o + 1] = joined(b, o + 1, sums[o + 1], s1);
    }
}

static sleepbench_logit logit_of(int stage, const sleepbench_state *state)
{
    int64_t sum = 0;
    int c, f;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++)
        for (f = 0; f < LARGEST; f++) sum += (int64_t)HEAD[stage][c][f] * state->channels[c].sums[f];
    sum = (sum * HEAD_MULTIPLIER[stage] + ((int64_t)1 << (HEAD_SHIFT - 1))) >> HEAD_SHIFT;
    return (sleepbench_logit)sum + HEAD_BIAS[stage];
}

#endif

/* ---------------------------------------------------------------------------------------------------- sample by sample */

/* A vector of a layer's input: a zero before the first and behind the last one of the epoch. */
static const sleepbench_value *at(const sleepbench_value *kept, int n, int index, int length)
{
    return index < 0 || index >= length ? ZEROS : kept + index % PADDED * n;
}

static void keep(sleepbench_value *kept, int n, int index, const sleepbench_value *x)
{
    int i;
    for (i = 0; i < n; i++) kept[index * n + i] = x[i];
}

/* Sums of the pooled output `index` of a layer, from its inputs 2 index - 1 to 2 index + 2, of which that is `newest`. */
static void pooled(const convolution *c, const sleepbench_value *kept, const sleepbench_value *newest, int index,
                   int length, sum_t *out)
{
    filtered_t filtered[2 * LARGEST];
    const sleepbench_value *x[4];
    int k;
    for (k = 0; k < PADDED; k++) x[k] = at(kept, c->n_inputs, 2 * index - 1 + k, length);
    x[PADDED] = newest;
    filter(c, x, filtered);
    if (2 * index + 1 == length) /* the last of an odd number of outputs is pooled alone */
        for (k = 0; k < c->n_inputs; k++) filtered[2 * k + 1] = filtered[2 * k];
    if (c->n_inputs == 1)
        convolve_one(c, filtered, out);
    else
        convolve(c, filtered, out);
}

/* The output `index` of a block. */
static void finish_output(const block *b, const sleepbench_value *kept, const sleepbench_value *newest, int index,
                          int length, sleepbench_value *out)
{
    sum_t sums[LARGEST];
    pooled(&b->main[1], kept + b->pooled, newest, index, (length + 1) / 2, sums);
    join(b, sums, kept + b->skipped + index % 2 * b->main[0].n_inputs, out);
}

/* The pooled output `index` of a block's first layer; if it completes an output of the block, that one's index, else -1. */
static int go_on(const block *b, sleepbench_value *kept, const sleepbench_value *newest, int index, int length,
                 sleepbench_value *out)
{
    sleepbench_value middle[LARGEST];
    sum_t sums[LARGEST];
    int made = -1;
    pooled(&b->main[0], kept + b->input, newest, index, length, sums);
    keep_pooled(b, sums, middle);
    if (index % 2 == 0 && index >= 2) {
        made = index / 2 - 1;
        finish_output(b, kept, middle, made, length, out);
    }
    keep(kept + b->pooled, b->main[1].n_inputs, index % PADDED, middle);
    return made;
}

/* One more input of a block; if it completes an output, that one's index, else -1. */
static int take(const block *b, sleepbench_value *kept, const sleepbench_value *x, int index, int length,
                sleepbench_value *out)
{
    const int n = b->main[0].n_inputs;
    const int made = index % 2 == 0 && index >= 2 ? go_on(b, kept, x, index / 2 - 1, length, out) : -1;
    keep(kept + b->input, n, index % PADDED, x);
    if (index % 4 == 0) keep(kept + b->skipped, n, index / 4 % 2, x);
    return made;
}

/* An input of a block through all that follow, as far as it goes. `length` is that of the block's input. */
static void pass(sleepbench_channel *channel, int number, const sleepbench_value *x, int index, int length)
{
    sleepbench_value outputs[2][LARGEST];
    int f;
    for (; number < BLOCKS; number++, length = (length + 3) / 4) {
        sleepbench_value *out = outputs[number % 2];
        index = take(&NETWORK[number], channel->kept, x, index, length, out);
        if (index < 0) return;
        x = out;
    }
    for (f = 0; f < LARGEST; f++) channel->sums[f] += x[f];
}

/* What waited for a next sample: behind an epoch there are zeros. */
static void end_epoch(sleepbench_channel *channel)
{
    int number, length = SLEEPBENCH_SAMPLES;
    for (number = 0; number < BLOCKS; number++, length = (length + 3) / 4) {
        const block *b = &NETWORK[number];
        sleepbench_value out[LARGEST];
        const int made = go_on(b, channel->kept, ZEROS, (length + 1) / 2 - 1, length, out), last = (length + 3) / 4 - 1;
        if (made >= 0) pass(channel, number + 1, out, made, last + 1);
        finish_output(b, channel->kept, ZEROS, last, length, out);
        pass(channel, number + 1, out, last, last + 1);
    }
}

static void begin_epoch(sleepbench_state *state)
{
    int c, f;
    state->index = 0;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++)
        for (f = 0; f < LARGEST; f++) state->channels[c].sums[f] = 0;
}

void sleepbench_begin(sleepbench_state *state)
{
    int k;
    begin_epoch(state);
    state->stage = -1;
    for (k = 0; k < SLEEPBENCH_STAGES; k++) state->logits[k] = 0;
}

int sleepbench_push(sleepbench_state *state, const float microvolts[SLEEPBENCH_CHANNELS])
{
    int c, k;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++) {
        const float x = microvolts[c];
        const sleepbench_value value = from_microvolts(x - x == 0 ? x : 0); /* neither infinite nor no number */
        pass(&state->channels[c], 0, &value, state->index, SLEEPBENCH_SAMPLES);
    }
    if (++state->index < SLEEPBENCH_SAMPLES) return 0;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++) end_epoch(&state->channels[c]);
    state->stage = 0;
    for (k = 0; k < SLEEPBENCH_STAGES; k++) {
        state->logits[k] = logit_of(k, state);
        if (state->logits[k] > state->logits[state->stage]) state->stage = k;
    }
    begin_epoch(state);
    return 1;
}
