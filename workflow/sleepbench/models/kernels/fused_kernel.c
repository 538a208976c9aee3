/* Convolution of three samples, batch norm, ReLU and max pooling by two, with their gradient: see fused_kernel.py.

Work is cut into items: some neighbouring signals ("group") of one fold. The samples of an item are laid out as rows, a
row of even and one of odd samples for each feature, its signals side by side with zeros between them and around. Then
an output of the convolution is a sum over shifted rows, and pooling takes the larger of two rows. Sums over an item are
kept and added up item by item, so that no result depends on the number of threads or on who did what.

Nothing here assumes that numbers are finite: a NaN stays one. */

#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
#if defined __AVX512F__ || defined __aarch64__
#define OUTPUTS 4 /* at a time in registers, of which there are 32 */
#else
#define OUTPUTS 2
#endif
#define STEPS 3 /* vectors of a row at a time in registers */
#define ALWAYS static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

typedef struct {
    int64_t n_folds, n_inputs, n_outputs, n_signals, time, group, n_threads;
    int64_t x_fold, x_input, x_signal; /* strides of x in numbers; a signal's samples are contiguous */
    int64_t seed, threshold; /* of dropout: 32 random bits below `threshold` drop */
    double epsilon, factor;  /* what is not dropped is multiplied with */
    const float *x, *kernel, *gamma, *beta, *bias, *running_mean, *running_var, *main, *gradient;
    float *weights;   /* the kernel as it is used; the same for the gradient of x: transposed, reversed */
    float *constants; /* for each fold and output: CONSTANTS numbers */
    float *rows;      /* what was convolved, item by item, or null: it is computed again */
    float *scratch;   /* zeros; for each thread, scratch_size() numbers */
    double *partial;  /* for each item and output: two sums */
    float *partial_kernel; /* for each item: the gradient of the kernel */
    float *pooled, *mean, *variance, *of_x, *of_main, *of_kernel, *of_gamma, *of_beta;
} Layer;

enum { MEAN, INVERSE, SCALE, SHIFT, SLOPE, LEVEL, CONSTANTS };

typedef struct {
    int64_t fold, index, first, n; /* index of the item; its first signal and how many they are */
    float *x, *y, *of_y; /* rows in scratch; those of x and of_y lie LANES apart, the first with LANES before it */
    float *line;         /* one more row in scratch, with zeros between the signals */
} Item;

static int64_t ceiling(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
static int64_t half(const Layer *l) { return (l->time + 1) / 2; }
static int64_t period(const Layer *l) { return ceiling(half(l) + 1, LANES); } /* from a signal to the next in a row */
static int64_t length(const Layer *l) { return ceiling(l->group * period(l), STEPS * LANES); }
static int64_t n_items(const Layer *l) { return (l->n_signals + l->group - 1) / l->group; } /* of a fold */
static int64_t widest(const Layer *l) { return l->n_inputs > l->n_outputs ? l->n_inputs : l->n_outputs; }
static int64_t spaced(const Layer *l, int64_t n) { return LANES + 2 * n * (length(l) + LANES); }

int64_t rows_size(const Layer *l) { return l->n_folds * n_items(l) * l->n_outputs * 2 * length(l); }
int64_t scratch_size(const Layer *l) {
    return spaced(l, l->n_inputs) + spaced(l, l->n_outputs) + (widest(l) * 2 + 1) * length(l);
}

ALWAYS vec load(const float *p) { return *(const vec *)p; }

/* `n` outputs of the convolution: from rows of n_inputs, LANES apart, to rows of `out`, close together. */
ALWAYS void convolve_some(int n, const float *in, int64_t n_inputs, const float *weights, float *out, int64_t length) {
    const int64_t stride = length + LANES;
    for (int64_t t = 0; t < length; t += STEPS * LANES) {
        vec even[OUTPUTS][STEPS] = {0}, odd[OUTPUTS][STEPS] = {0};
        for (int64_t i = 0; i < n_inputs; i++)
#pragma GCC unroll 3
            for (int s = 0; s < STEPS; s++) {
                const float *p = in + 2 * i * stride + t + s * LANES, *q = p + stride;
                const vec before = load(q - 1), here = load(p), next = load(q), after = load(p + 1);
#pragma GCC unroll 4
                for (int o = 0; o < n; o++) {
                    const float *w = weights + 3 * (o * n_inputs + i);
                    even[o][s] += w[0] * before, odd[o][s] += w[0] * here;
                    even[o][s] += w[1] * here, odd[o][s] += w[1] * next;
                    even[o][s] += w[2] * next, odd[o][s] += w[2] * after;
                }
            }
#pragma GCC unroll 4
        for (int o = 0; o < n; o++)
#pragma GCC unroll 3
            for (int s = 0; s < STEPS; s++) {
                *(vec *)(out + 2 * o * length + t + s * LANES) = even[o][s];
                *(vec *)(out + (2 * o + 1) * length + t + s * LANES) = odd[o][s];
            }
    }
}

static void convolve(const float *in, int64_t n_inputs, const float *weights, float *out, int64_t n, int64_t length) {
    int64_t o = 0;
    for (; o + OUTPUTS <= n; o += OUTPUTS)
        convolve_some(OUTPUTS, in, n_inputs, weights + 3 * o * n_inputs, out + 2 * o * length, length);
    for (; o < n; o++) convolve_some(1, in, n_inputs, weights + 3 * o * n_inputs, out + 2 * o * length, length);
}

/* The gradient of the kernel for `n` outputs and `m` inputs. */
ALWAYS void correlate_some(int n, int m, const float *of_y, const float *x, float *of, int64_t n_inputs, int64_t length) {
    const int64_t stride = length + LANES;
    vec sum[OUTPUTS][2][3] = {0};
    for (int64_t t = 0; t < length; t += LANES)
#pragma GCC unroll 2
        for (int i = 0; i < m; i++) {
            const float *p = x + 2 * i * stride + t, *q = p + stride;
            const vec before = load(q - 1), here = load(p), next = load(q), after = load(p + 1);
#pragma GCC unroll 4
            for (int o = 0; o < n; o++) {
                const vec even = load(of_y + 2 * o * stride + t), odd = load(of_y + (2 * o + 1) * stride + t);
                sum[o][i][0] += even * before, sum[o][i][1] += even * here, sum[o][i][2] += even * next;
                sum[o][i][0] += odd * here, sum[o][i][1] += odd * next, sum[o][i][2] += odd * after;
            }
        }
#pragma GCC unroll 4
    for (int o = 0; o < n; o++)
#pragma GCC unroll 2
        for (int i = 0; i < m; i++)
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
                float lanes[LANES], total = 0;
                *(vec *)lanes = sum[o][i][k];
#pragma omp simd reduction(+ : total)
                for (int j = 0; j < LANES; j++) total += lanes[j];
                of[3 * (o * n_inputs + i) + k] = total;
            }
}

static void correlate(const float *of_y, int64_t n, const float *x, int64_t n_inputs, float *of, int64_t length) {
    const int64_t stride = 2 * (length + LANES);
    int64_t o = 0;
    for (; o + OUTPUTS <= n; o += OUTPUTS, of_y += OUTPUTS * stride, of += OUTPUTS * 3 * n_inputs) {
        int64_t i = 0;
        for (; i + 2 <= n_inputs; i += 2)
            correlate_some(OUTPUTS, 2, of_y, x + i * stride, of + 3 * i, n_inputs, length);
        if (i < n_inputs) correlate_some(OUTPUTS, 1, of_y, x + i * stride, of + 3 * i, n_inputs, length);
    }
    for (; o < n; o++, of_y += stride, of += 3 * n_inputs)
        for (int64_t i = 0; i < n_inputs; i++)
            correlate_some(1, 1, of_y, x + i * stride, of + 3 * i, n_inputs, length);
}

/* Even and odd samples of the item's signals, zeros elsewhere. */
static void load_x(const Layer *l, const Item *item) {
    const int64_t stride = length(l) + LANES;
    for (int64_t i = 0; i < l->n_inputs; i++) {
        float *restrict even = item->x + 2 * i * stride, *restrict odd = even + stride;
        for (int64_t s = 0; s < item->n; s++, even += period(l), odd += period(l)) {
            const float *x = l->x + item->fold * l->x_fold + i * l->x_input + (item->first + s) * l->x_signal;
            for (int64_t j = 0; j < l->time / 2; j++) even[j] = x[2 * j], odd[j] = x[2 * j + 1];
            if (l->time % 2) even[l->time / 2] = x[l->time - 1];
        }
        for (int64_t s = item->n; s < l->group; s++, even += period(l), odd += period(l))
            memset(even, 0, 4 * half(l)), memset(odd, 0, 4 * half(l));
    }
}

/* Zeros between the signals of rows that lie `stride` apart, and `absent` as the last odd sample of an odd length. */
static void fill_gaps(const Layer *l, float *y, int64_t stride, float absent) {
    for (int64_t r = 0; r < 2 * l->n_outputs; r++, y += stride) {
        for (int64_t s = 0; s < l->group; s++) {
            float *signal = y + s * period(l);
            for (int64_t j = half(l); j < period(l); j++) signal[j] = 0;
            if (r % 2 && l->time % 2) signal[l->time / 2] = absent;
        }
        memset(y + l->group * period(l), 0, 4 * (length(l) - l->group * period(l)));
    }
}

/* What the convolution gives for the item: kept, or computed again; ready for pooling. */
static float *rows_of(const Layer *l, const Item *item) {
    if (l->rows) return l->rows + item->index * l->n_outputs * 2 * length(l);
    load_x(l, item);
    convolve(item->x, l->n_inputs, l->weights + item->fold * l->n_outputs * l->n_inputs * 3, item->y, l->n_outputs,
             length(l));
    fill_gaps(l, item->y, length(l), -__builtin_inff());
    return item->y;
}

static float *constants_of(const Layer *l, int64_t fold, int64_t output) {
    return l->constants + (fold * l->n_outputs + output) * CONSTANTS;
}

/* The values (fold, output, first signal) of an array with the shape of `pooled`. */
static int64_t pooled_at(const Layer *l, const Item *item, int64_t output) {
    return ((item->fold * l->n_outputs + output) * l->n_signals + item->first) * half(l);
}

ALWAYS float larger(float a, float b) { return (a >= b) | (a != a) ? a : b; }
ALWAYS float relu(float a) { return a <= 0 ? 0 : a; }

static void sum_item(const Layer *l, const Item *item) {
    float *y = l->rows ? l->rows + item->index * l->n_outputs * 2 * length(l) : item->y;
    load_x(l, item);
    convolve(item->x, l->n_inputs, l->weights + item->fold * l->n_outputs * l->n_inputs * 3, y, l->n_outputs, length(l));
    fill_gaps(l, y, length(l), 0);
    for (int64_t o = 0; o < l->n_outputs; o++) {
        const float *row = y + o * 2 * length(l);
        vec sums[STEPS] = {0}, squares[STEPS] = {0};
        for (int64_t j = 0; j < 2 * length(l); j += STEPS * LANES)
#pragma GCC unroll 3
            for (int s = 0; s < STEPS; s++) {
                const vec value = load(row + j + s * LANES);
                sums[s] += value, squares[s] += value * value;
            }
        double *partial = l->partial + 2 * (item->index * l->n_outputs + o);
        partial[0] = partial[1] = 0; /* of a few hundred numbers each: single precision would lose the variance */
        for (int s = 0; s < STEPS; s++)
            for (int j = 0; j < LANES; j++) partial[0] += sums[s][j], partial[1] += squares[s][j];
    }
    if (l->time % 2) fill_gaps(l, y, length(l), -__builtin_inff());
}

static void pool_item(const Layer *l, const Item *item) {
    const float *even = rows_of(l, item), *odd = even + length(l);
    for (int64_t o = 0; o < l->n_outputs; o++, even += 2 * length(l), odd += 2 * length(l)) {
        const float scale = constants_of(l, item->fold, o)[SCALE], shift = constants_of(l, item->fold, o)[SHIFT];
        float *restrict line = item->line;
        for (int64_t j = 0; j < length(l); j++) line[j] = relu(larger(even[j], odd[j]) * scale + shift);
        for (int64_t s = 0; s < item->n; s++)
            memcpy(l->pooled + pooled_at(l, item, o) + s * half(l), line + s * period(l), 4 * half(l));
    }
}

static void load_gradient(const Layer *l, const Item *item, int64_t output) {
    for (int64_t s = 0; s < item->n; s++)
        memcpy(item->line + s * period(l), l->gradient + pooled_at(l, item, output) + s * half(l), 4 * half(l));
    memset(item->line + item->n * period(l), 0, 4 * (length(l) - item->n * period(l)));
}

/* Sums of the gradient of the normalised values, and of its products with the values before. */
static void sum_gradient_item(const Layer *l, const Item *item) {
    const float *even = rows_of(l, item), *odd = even + length(l), *gradient = item->line;
    for (int64_t o = 0; o < l->n_outputs; o++, even += 2 * length(l), odd += 2 * length(l)) {
        const float scale = constants_of(l, item->fold, o)[SCALE], shift = constants_of(l, item->fold, o)[SHIFT];
        float sum = 0, product = 0;
        load_gradient(l, item, o);
#pragma omp simd reduction(+ : sum, product)
        for (int64_t j = 0; j < length(l); j++) {
            const float value = larger(even[j], odd[j]), any = gradient[j], g = value * scale + shift > 0 ? any : 0;
            sum += g, product += g * value;
        }
        l->partial[2 * (item->index * l->n_outputs + o)] = sum;
        l->partial[2 * (item->index * l->n_outputs + o) + 1] = product;
    }
}

static void gradient_item(const Layer *l, const Item *item) {
    const int64_t stride = length(l) + LANES, n_weights = l->n_outputs * l->n_inputs * 3;
    const float *even = rows_of(l, item), *odd = even + length(l), *gradient = item->line;
    if (l->rows) load_x(l, item);
    for (int64_t o = 0; o < l->n_outputs; o++, even += 2 * length(l), odd += 2 * length(l)) {
        const float *c = constants_of(l, item->fold, o);
        const float scale = c[SCALE], shift = c[SHIFT], slope = c[SLOPE], level = c[LEVEL];
        float *restrict of_even = item->of_y + 2 * o * stride, *restrict of_odd = of_even + stride;
        load_gradient(l, item, o);
        for (int64_t j = 0; j < length(l); j++) {
            const float a = even[j], b = odd[j], any = gradient[j] * scale;
            const float g = larger(a, b) * scale + shift > 0 ? any : 0;
            of_even[j] = a * slope + level + (a >= b ? g : 0); /* a tie goes to the first */
            of_odd[j] = b * slope + level + (a >= b ? 0 : g);
        }
        memset(of_even + item->n * period(l), 0, 4 * (length(l) - item->n * period(l)));
        memset(of_odd + item->n * period(l), 0, 4 * (length(l) - item->n * period(l)));
    }
    fill_gaps(l, item->of_y, stride, 0);
    correlate(item->of_y, l->n_outputs, item->x, l->n_inputs, l->partial_kernel + item->index * n_weights, length(l));
    if (!l->of_x) return;
    const float *reversed = l->weights + (l->n_folds + item->fold) * n_weights;
    convolve(item->of_y, l->n_outputs, reversed, item->y, l->n_inputs, length(l));
    for (int64_t i = 0; i < l->n_inputs; i++)
        for (int64_t s = 0; s < item->n; s++) {
            const float *even = item->y + 2 * i * length(l) + s * period(l), *odd = even + length(l);
            const int64_t signal = (item->fold * l->n_inputs + i) * l->n_signals + item->first + s;
            float *restrict of_x = l->of_x + signal * l->time;
            for (int64_t j = 0; j < l->time / 2; j++) of_x[2 * j] = even[j], of_x[2 * j + 1] = odd[j];
            if (l->time % 2) of_x[l->time - 1] = even[l->time / 2];
        }
}

/* The pool of threads that PyTorch computes with, where it is GNU's; a second pool would compete with it. */
extern void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned) __attribute__((weak));

typedef struct {
    const Layer *layer;
    void (*task)(const Layer *, const Item *);
    int64_t next, n_workers;
} Job;

static void work(void *argument) {
    Job *job = argument;
    const Layer *l = job->layer;
    const int64_t worker = __atomic_fetch_add(&job->n_workers, 1, __ATOMIC_RELAXED);
    float *scratch = l->scratch + worker * scratch_size(l);
    Item item = {.x = scratch + LANES, .of_y = scratch + spaced(l, l->n_inputs) + LANES,
                 .y = scratch + spaced(l, l->n_inputs) + spaced(l, l->n_outputs)};
    item.line = item.y + widest(l) * 2 * length(l);
    while ((item.index = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)) < l->n_folds * n_items(l)) {
        item.fold = item.index / n_items(l);
        item.first = item.index % n_items(l) * l->group;
        item.n = l->n_signals - item.first < l->group ? l->n_signals - item.first : l->group;
        job->task(l, &item);
    }
}

static void for_items(const Layer *l, void (*task)(const Layer *, const Item *)) {
    Job job = {l, task, 0, 0};
    if (GOMP_parallel && l->n_threads > 1)
        GOMP_parallel(work, &job, l->n_threads, 0);
    else
        work(&job);
}

static double total(const Layer *l, int64_t fold, int64_t output, int which) {
    double sum = 0;
    for (int64_t i = fold * n_items(l); i < (fold + 1) * n_items(l); i++)
        sum += l->partial[2 * (i * l->n_outputs + output) + which];
    return sum;
}

static void sum_kernels(const Layer *l, int64_t n_weights) {
    enum { AT_ONCE = 256 };
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t first = 0; first < n_weights; first += AT_ONCE) {
            const int64_t n = n_weights - first < AT_ONCE ? n_weights - first : AT_ONCE;
            double sums[AT_ONCE] = {0};
            for (int64_t i = f * n_items(l); i < (f + 1) * n_items(l); i++)
                for (int64_t w = 0; w < n; w++) sums[w] += l->partial_kernel[i * n_weights + first + w];
            for (int64_t w = 0; w < n; w++) l->of_kernel[f * n_weights + first + w] = sums[w];
        }
}

/* Batch norm's scale is made positive: it then commutes with the maximum. */
static float sign_of(float gamma) { return gamma < 0 ? -1 : 1; }

static void set_weights(const Layer *l, int64_t fold, int64_t output, float factor) {
    const int64_t n_weights = l->n_outputs * l->n_inputs * 3;
    float *reversed = l->weights + (l->n_folds + fold) * n_weights;
    for (int64_t i = 0; i < l->n_inputs; i++)
        for (int64_t k = 0; k < 3; k++) {
            const int64_t at = fold * n_weights + (output * l->n_inputs + i) * 3 + k;
            l->weights[at] = l->kernel[at] * factor;
            reversed[(i * l->n_outputs + output) * 3 + 2 - k] = l->weights[at];
        }
}

void evaluate(const Layer *l) {
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t o = 0; o < l->n_outputs; o++) {
            const int64_t at = f * l->n_outputs + o;
            const double scale = l->gamma[at] / __builtin_sqrt(l->running_var[at] + l->epsilon);
            set_weights(l, f, o, scale);
            constants_of(l, f, o)[SCALE] = 1;
            constants_of(l, f, o)[SHIFT] = l->beta[at] + scale * (l->bias[at] - l->running_mean[at]);
        }
    for_items(l, pool_item);
}

void forward(const Layer *l) {
    const double n = l->n_signals * l->time;
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t o = 0; o < l->n_outputs; o++) set_weights(l, f, o, sign_of(l->gamma[f * l->n_outputs + o]));
    for_items(l, sum_item);
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t o = 0; o < l->n_outputs; o++) {
            const int64_t at = f * l->n_outputs + o;
            float *c = constants_of(l, f, o);
            const double mean = total(l, f, o, 0) / n, difference = total(l, f, o, 1) / n - mean * mean;
            const double variance = difference < 0 ? 0 : difference; /* by rounding, where signals hardly vary */
            const double inverse = 1 / __builtin_sqrt(variance + l->epsilon);
            const double scale = __builtin_fabs(l->gamma[at]) * inverse;
            c[MEAN] = mean, c[INVERSE] = inverse, c[SCALE] = scale, c[SHIFT] = l->beta[at] - scale * mean;
            l->mean[at] = mean * sign_of(l->gamma[at]), l->variance[at] = variance;
        }
    for_items(l, pool_item);
}

void backward(const Layer *l) {
    const int64_t per_output = l->n_inputs * 3;
    const double n = l->n_signals * l->time;
    for_items(l, sum_gradient_item);
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t o = 0; o < l->n_outputs; o++) {
            const int64_t at = f * l->n_outputs + o;
            float *c = constants_of(l, f, o);
            const double of_beta = total(l, f, o, 0);
            const double of_gamma = (total(l, f, o, 1) - of_beta * c[MEAN]) * c[INVERSE];
            /* The norm takes from a gradient its mean and its projection on the standardised values. */
            const double slope = -c[SCALE] * c[INVERSE] * of_gamma / n;
            c[SLOPE] = slope, c[LEVEL] = -c[SCALE] * of_beta / n - slope * c[MEAN];
            l->of_beta[at] = of_beta, l->of_gamma[at] = of_gamma * sign_of(l->gamma[at]);
        }
    for_items(l, gradient_item);
    sum_kernels(l, l->n_outputs * l->n_inputs * 3);
    for (int64_t w = 0; w < l->n_folds * l->n_outputs * per_output; w++)
        l->of_kernel[w] *= sign_of(l->gamma[w / per_output]);
}

/* ---- The shortcut: every fourth sample of x through a kernel of one sample, added to `main`; then dropout. ---- */

static int64_t quarter(const Layer *l) { return (l->time + 3) / 4; }

/* Dropout of `n` values: a hash of a value's place and the seed decides, so that nothing is drawn in turn or kept. */
static void drop(const Layer *l, const float *from, float *restrict to, int64_t n, int64_t place) {
    const uint32_t low = l->seed, high = l->seed >> 32, threshold = l->threshold, first = place;
    const float factor = l->factor;
    for (uint32_t j = 0; j < (uint32_t)n; j++) {
        uint32_t bits = (first + j) * 0x9e3779b9u + low;
        bits = (bits ^ bits >> 16) * 0x21f0aaadu;
        bits = (bits ^ bits >> 15 ^ high) * 0x735a2d97u;
        bits ^= bits >> 15;
        to[j] = from[j] * (bits >= threshold ? factor : 0.0f);
    }
}

/* The samples that the shortcut sees, those of all signals of the item in one row for each input, up to `stride`. */
static void load_quarter(const Layer *l, const Item *item, int64_t stride) {
    for (int64_t i = 0; i < l->n_inputs; i++)
        for (int64_t s = 0; s < item->n; s++) {
            const float *x = l->x + item->fold * l->x_fold + i * l->x_input + (item->first + s) * l->x_signal;
            float *restrict row = item->x + i * stride + s * quarter(l);
            for (int64_t j = 0; j < quarter(l); j++) row[j] = x[4 * j];
        }
}

static void join_item(const Layer *l, const Item *item) {
    const int64_t n = item->n * quarter(l);
    load_quarter(l, item, n);
    for (int64_t o = 0; o < l->n_outputs; o++) {
        const int64_t output = item->fold * l->n_outputs + o, at = (output * l->n_signals + item->first) * quarter(l);
        const float *main = l->main + at, bias = l->bias[output];
        float *restrict sum = item->y;
        for (int64_t j = 0; j < n; j++) sum[j] = main[j] + bias;
        for (int64_t i = 0; i < l->n_inputs; i++) {
            const float weight = l->kernel[output * l->n_inputs + i], *x = item->x + i * n;
            for (int64_t j = 0; j < n; j++) sum[j] += weight * x[j];
        }
        drop(l, sum, l->pooled + at, n, at);
    }
}

static void gradient_of_join_item(const Layer *l, const Item *item) {
    const int64_t n = item->n * quarter(l);
    float *of_kernel = l->partial_kernel + item->index * l->n_outputs * l->n_inputs;
    load_quarter(l, item, n);
    memset(item->of_y, 0, 4 * l->n_inputs * n);
    for (int64_t o = 0; o < l->n_outputs; o++) {
        const int64_t output = item->fold * l->n_outputs + o, at = (output * l->n_signals + item->first) * quarter(l);
        float *restrict of_main = l->of_main + at, sum = 0;
        drop(l, l->gradient + at, of_main, n, at);
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++) sum += of_main[j];
        l->partial[2 * (item->index * l->n_outputs + o)] = sum;
        for (int64_t i = 0; i < l->n_inputs; i++) {
            const float weight = l->kernel[output * l->n_inputs + i], *x = item->x + i * n;
            float *restrict of_x = item->of_y + i * n, product = 0;
#pragma omp simd reduction(+ : product)
            for (int64_t j = 0; j < n; j++) product += of_main[j] * x[j], of_x[j] += weight * of_main[j];
            of_kernel[o * l->n_inputs + i] = product;
        }
    }
    for (int64_t i = 0; l->of_x && i < l->n_inputs; i++)
        for (int64_t s = 0; s < item->n; s++) {
            const int64_t signal = (item->fold * l->n_inputs + i) * l->n_signals + item->first + s;
            float *restrict of_x = l->of_x + signal * l->time;
            memset(of_x, 0, 4 * l->time);
            for (int64_t j = 0; j < quarter(l); j++) of_x[4 * j] = item->of_y[i * n + s * quarter(l) + j];
        }
}

void join(const Layer *l) { for_items(l, join_item); }

void gradient_of_join(const Layer *l) {
    for_items(l, gradient_of_join_item);
    sum_kernels(l, l->n_outputs * l->n_inputs);
    for (int64_t f = 0; f < l->n_folds; f++)
        for (int64_t o = 0; o < l->n_outputs; o++) l->of_beta[f * l->n_outputs + o] = total(l, f, o, 0);
}
