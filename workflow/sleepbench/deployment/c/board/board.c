/* A firmware for the emulated boards of Arm's MPS2 family, which have a Cortex-M3, M4 or M7.

With ONLY_IMAGE it is what a device would run, samples from a converter and a stage for a radio: its size is that of the
flash that is needed. Without, it is run by QEMU: epochs come from a file of the host, and a record of each goes to
another. There one instruction takes one nanosecond, so that the system's timer of 25 MHz counts instructions in forties.
Samples are laid out as a converter gives them, all channels of one moment beside each other. */

#include "sleepbench.h"

extern uint32_t stack_top, stack_bottom, data_load, data_start, data_end, bss_start, bss_end;

int main(void);
void start(void);
static void exit_to_host(int status);

static void fault(void)
{
    exit_to_host(3);
}

__attribute__((section(".vectors"), used)) static const void *const VECTORS[] = {
    &stack_top, (const void *)start, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};

void start(void)
{
    const volatile uint32_t *from = &data_load;
    volatile uint32_t *to;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* the floating-point unit is on */
    __asm volatile("dsb\n isb");
#endif
    for (to = &data_start; to < &data_end;) *to++ = *from++;
    for (to = &bss_start; to < &bss_end;) *to++ = 0;
    main();
    exit_to_host(0);
}

static sleepbench_state state;

#ifdef ONLY_IMAGE

static void exit_to_host(int status)
{
    (void)status;
    for (;;) {
    }
}

int main(void)
{
    float microvolts[SLEEPBENCH_CHANNELS];
    int c;
    sleepbench_begin(&state);
    for (;;) {
        for (c = 0; c < SLEEPBENCH_CHANNELS; c++) microvolts[c] = *(volatile float *)0x40000000u;
        if (sleepbench_push(&state, microvolts)) *(volatile int32_t *)0x40000004u = state.stage;
    }
}

#else

#define SYSTICK ((volatile uint32_t *)0xE000E010u) /* control, reload, value */
#define LARGEST_TICK 0xFFFFFFu
#define PAINT 0xA5C35A3Cu

enum { OPEN = 1, CLOSE = 2, WRITE = 5, READ = 6, EXIT = 0x20 };
enum { READ_BYTES = 1, WRITE_BYTES = 5 };

static float epoch[SLEEPBENCH_SAMPLES][SLEEPBENCH_CHANNELS];
static struct {
    int32_t stage;
    sleepbench_logit logits[SLEEPBENCH_STAGES];
    uint32_t ticks, last_ticks, stack;
} record;

static int call_host(int operation, const void *arguments)
{
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = arguments;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void exit_to_host(int status)
{
    const uint32_t arguments[2] = {0x20026, (uint32_t)status}; /* the application ended */
    call_host(EXIT, arguments);
    for (;;) {
    }
}

static int open_file(const char *name, int length, int mode)
{
    const uint32_t arguments[3] = {(uint32_t)name, (uint32_t)mode, (uint32_t)length};
    return call_host(OPEN, arguments);
}

/* 0 where all bytes were read or written. */
static int transfer(int operation, int file, const void *bytes, uint32_t n)
{
    const uint32_t arguments[3] = {(uint32_t)file, (uint32_t)bytes, n};
    return call_host(operation, arguments);
}

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
    __asm volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

static uint32_t ticks_since(uint32_t before)
{
    return (before - SYSTICK[2]) & LARGEST_TICK;
}

__attribute__((noinline)) static void measure_epoch(void)
{
    volatile uint32_t *const top = stack_pointer(), *word;
    uint32_t start, last;
    int t;
    for (word = &stack_bottom; word < top; word++) *word = PAINT;
    start = SYSTICK[2];
    for (t = 0; t < SLEEPBENCH_SAMPLES - 1; t++) sleepbench_push(&state, epoch[t]);
    last = SYSTICK[2];
    sleepbench_push(&state, epoch[SLEEPBENCH_SAMPLES - 1]);
    record.last_ticks = ticks_since(last);
    record.ticks = ticks_since(start);
    for (word = &stack_bottom; word < top && *word == PAINT; word++) {
    }
    record.stack = (uint32_t)(top - word) * sizeof *word;
}

int main(void)
{
    const int input = open_file("epochs.f32", 10, READ_BYTES), output = open_file("records.bin", 11, WRITE_BYTES);
    int k;
    if (input < 0 || output < 0) exit_to_host(2);
    SYSTICK[1] = LARGEST_TICK, SYSTICK[2] = 0, SYSTICK[0] = 5; /* the processor's clock, no interrupts */
    sleepbench_begin(&state);
    while (transfer(READ, input, epoch, sizeof epoch) == 0) {
        measure_epoch();
        record.stage = state.stage;
        for (k = 0; k < SLEEPBENCH_STAGES; k++) record.logits[k] = state.logits[k];
        if (transfer(WRITE, output, &record, sizeof record) != 0) exit_to_host(2);
    }
    return 0;
}

#endif
