/* Tries the network on this machine.

Without arguments, the made-up epochs of sleepbench_test_vector.h, against the logits that PyTorch gives for them; or,
of the form in integers, against what has to be equal bit by bit. With the argument -, epochs from the standard input
(SLEEPBENCH_CHANNELS rows of SLEEPBENCH_SAMPLES single-precision microvolts each): a line for each with its stage, its
logits and the seconds that it took. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sleepbench.h"
#include "sleepbench_test_vector.h"

static sleepbench_state state;
static float epoch[SLEEPBENCH_CHANNELS][SLEEPBENCH_SAMPLES];

/* Seconds of the processor that an epoch took. */
static double push_epoch(void)
{
    const clock_t start = clock();
    float microvolts[SLEEPBENCH_CHANNELS];
    int c, t;
    for (t = 0; t < SLEEPBENCH_SAMPLES; t++) {
        for (c = 0; c < SLEEPBENCH_CHANNELS; c++) microvolts[c] = epoch[c][t];
        sleepbench_push(&state, microvolts);
    }
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* Noise whose next value stays near its last one, in sixteenths of a microvolt: the same numbers everywhere. */
static void make_epoch(void)
{
    static uint32_t random = TEST_SEED;
    int c, t;
    for (c = 0; c < SLEEPBENCH_CHANNELS; c++) {
        int32_t value = 0;
        for (t = 0; t < SLEEPBENCH_SAMPLES; t++) {
            random = random * 1664525u + 1013904223u;
            value += (int32_t)(random >> 20) - 2048 - value / 8;
            epoch[c][t] = (float)value / 16;
        }
    }
}

static int test(void)
{
    double largest = 0, difference;
    int e, k, bits = 0;
    for (e = 0; e < TEST_EPOCHS; e++) {
        make_epoch();
        push_epoch();
        for (k = 0; k < SLEEPBENCH_STAGES; k++) {
            const double logit = (double)state.logits[k] / SLEEPBENCH_LOGITS_PER_UNIT;
            difference = fabs(logit - TEST_LOGITS[e][k]);
            if (!(difference <= largest)) largest = difference;
#if SLEEPBENCH_BITS != 32
            if (state.logits[k] != TEST_STEPS[e][k]) bits = 1;
#endif
        }
    }
    printf("%d epochs: largest difference to PyTorch's logits %.3g; %u bytes of state\n", TEST_EPOCHS, largest,
           (unsigned)sizeof state);
#if SLEEPBENCH_BITS == 32
    bits = !(largest <= TEST_TOLERANCE);
#endif
    puts(bits ? "NOT as expected" : "as expected");
    return bits;
}

int main(int argc, char **argv)
{
    int k;
    double seconds;
    sleepbench_begin(&state);
    if (argc < 2) return test();
    if (strcmp(argv[1], "-") != 0) {
        fprintf(stderr, "%s: takes no argument, or - for epochs from the standard input\n", argv[0]);
        return 2;
    }
    while (fread(epoch, sizeof epoch, 1, stdin) == 1) {
        seconds = push_epoch();
        printf("%d", (int)state.stage);
        for (k = 0; k < SLEEPBENCH_STAGES; k++) printf(" %.17g", (double)state.logits[k] / SLEEPBENCH_LOGITS_PER_UNIT);
        printf(" %.9g\n", seconds);
    }
    return ferror(stdin) != 0 || fflush(stdout) != 0;
}
