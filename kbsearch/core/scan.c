/* Many rows by their codes: a look at all of them, which two threads may share, leads to the few worth a comparison. */

#include <stdatomic.h>
#include <stdlib.h>

#include "core.h"

#ifdef KB_X86
#include <immintrin.h>
#endif

enum {
    NIBBLE = 15, MOST = 127, HIGHEST = 255, LONGEST = 16384,
    AHEAD = 4096,          /* bytes: a processor itself does not look beyond the page that it reads */
    BLOCK = 4096,          /* rows whose codes are looked at in one go */
    KEPT = 4               /* times as many rows as wanted are kept before the least likely are forgotten */
};

/* Sums of 4-bit codes times 8-bit steps. */
KB_WIDE static void sums_of_nibbles(const uint8_t *restrict codes, int64_t n, int64_t half, const int16_t *restrict steps,
                                    int32_t *restrict sums) {
    for (int64_t r = 0; r < n; r++) {
        const uint8_t *row = codes + r * half;
        int32_t low = 0, high = 0;
        for (int64_t i = 0; i < half; i++) {
            low += (int32_t)(row[i] & NIBBLE) * steps[i];
            high += (int32_t)(row[i] >> 4) * steps[half + i];
        }
        sums[r] = low + high;
    }
}

#ifdef KB_X86
/* The same with the instruction that newer processors have for it, which takes 8-bit numbers: thrice as fast. No compiler
 * finds it for two numbers in a byte. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static void
sums_by_vnni(const uint8_t *restrict codes, int64_t n, int64_t half, const int8_t *restrict steps, int32_t *restrict sums) {
    const __m512i nibble = _mm512_set1_epi8(NIBBLE);
    int64_t whole = half / 64 * 64;
    __mmask64 rest = (1ull << (half - whole)) - 1;
    for (int64_t r = 0; r < n; r++) {
        const uint8_t *row = codes + r * half;
        __m512i low = _mm512_setzero_si512(), high = low;
        int64_t i = 0;
        for (; i < whole; i += 64) {
            __builtin_prefetch(row + i + AHEAD);
            __m512i both = _mm512_loadu_si512(row + i);
            low = _mm512_dpbusd_epi32(low, _mm512_and_si512(both, nibble), _mm512_loadu_si512(steps + i));
            both = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
            high = _mm512_dpbusd_epi32(high, both, _mm512_loadu_si512(steps + half + i));
        }
        if (rest) {
            __m512i both = _mm512_maskz_loadu_epi8(rest, row + i);
            low = _mm512_dpbusd_epi32(low, _mm512_and_si512(both, nibble), _mm512_maskz_loadu_epi8(rest, steps + i));
            both = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
            high = _mm512_dpbusd_epi32(high, both, _mm512_maskz_loadu_epi8(rest, steps + half + i));
        }
        sums[r] = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }
}

static int has_vnni(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

/* A vector in the steps of 4-bit codes, as 8-bit numbers. */
static void in_nibble_steps(const kb_nibbles *nibbles, const float *vector, int64_t width, int16_t *wide) {
    double greatest = 0;
    for (int64_t i = 0; i < width; i++) {
        double size = (double)vector[i] * nibbles->steps[i];
        size = size < 0 ? -size : size;
        greatest = size > greatest ? size : greatest;
    }
    for (int64_t i = 0; i < 2 * nibbles->half; i++) {
        double times = i < width && greatest > 0 ? (double)vector[i] * nibbles->steps[i] / greatest * MOST : 0;
        wide[i] = times >= -MOST && times <= MOST ? (int16_t)(times < 0 ? times - .5 : times + .5) : 0; /* NaN: 0 */
    }
}

/* What looking at a block takes. */
typedef struct {
    int64_t places[BLOCK];
    uint32_t nodes[BLOCK];
    int32_t sums[BLOCK];
    int16_t wide[LONGEST];
    int8_t narrow[LONGEST];
    uint8_t may[BLOCK + 8];
    int is_narrow; /* whether the steps are there as 8-bit numbers */
} kb_room;

/* The question in the steps of the codes. */
static void open_room(kb_room *room, const kb_scan *scan) {
    const kb_nibbles *nibbles = scan->script->nibbles;
    room->is_narrow = 0;
    if (!nibbles) {
        kb_in_steps(scan->vector, scan->script->graph->span, scan->width, HIGHEST, room->wide);
        return;
    }
    in_nibble_steps(nibbles, scan->vector, scan->width, room->wide);
#ifdef KB_X86
    room->is_narrow = has_vnni();
    for (int64_t i = 0; i < 2 * nibbles->half; i++) room->narrow[i] = (int8_t)room->wide[i];
#endif
}

/* Products of the codes of some rows with the question, in one unit and less what all have in common. */
static void look_at(kb_room *room, const kb_scan *scan, int64_t from, int64_t n) {
    const kb_nibbles *nibbles = scan->script->nibbles;
    if (!nibbles) {
        for (int64_t i = 0; i < n; i++) room->nodes[i] = (uint32_t)(from + i);
        kb_scores_of(scan->script->graph->codes, scan->width, room->nodes, n, room->wide, room->sums);
        return;
    }
    const uint8_t *codes = nibbles->codes + from * nibbles->half;
#ifdef KB_X86
    if (room->is_narrow) {
        sums_by_vnni(codes, n, nibbles->half, room->narrow, room->sums);
        return;
    }
#endif
    sums_of_nibbles(codes, n, nibbles->half, room->wide, room->sums);
}

/* How many sums reach a limit. */
static int64_t reaching(const kb_likely *likely, int64_t limit) {
    int64_t count = 0;
    for (int64_t i = 0; i < likely->n; i++) count += likely->sums[i] >= limit;
    return count;
}

/* Keeps what exceeds a sum, and of what equals it the first `equals`. */
static void keep(kb_likely *likely, int64_t sum, int64_t equals) {
    int64_t kept = 0;
    for (int64_t i = 0; i < likely->n; i++)
        if (likely->sums[i] > sum || (likely->sums[i] == sum && equals-- > 0)) {
            likely->sums[kept] = likely->sums[i];
            likely->rows[kept++] = likely->rows[i];
        }
    likely->n = kept;
}

/* Forgets all but `wanted` of them and few more, never more than KEPT times as many; answers the least sum that may still
 * belong to these. */
static int64_t forget(kb_likely *likely, int64_t wanted) {
    if (likely->n <= wanted) return INT32_MIN;
    int64_t edge = kb_edge_of_sums(likely->sums, NULL, likely->n, wanted);
    keep(likely, edge - 1, 0);
    if (likely->n <= KEPT * wanted) return edge;
    int64_t low = edge, high = (int64_t)INT32_MAX + 1; /* many are alike: the first ones stay */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (reaching(likely, middle) >= wanted) low = middle;
        else high = middle;
    }
    keep(likely, low, wanted - reaching(likely, high));
    return high;
}

/* Look at blocks of rows as long as there are some that nobody has looked at; `who`, 0 or 1, may do so at the same time.
 * A block at a time, and of each only what reaches the best so far: the sums of all would be read from memory again, and
 * so much memory is given back to the system after every question. Answers 0, or what went wrong. */
KB_HIDDEN int64_t kb_look(kb_scan *scan, int who) {
    const kb_script *script = scan->script;
    kb_likely *likely = scan->likely + who;
    int64_t edge = INT32_MIN, from = atomic_fetch_add(&scan->next, BLOCK);
    if (from >= script->n) return 0;
    size_t most = (size_t)(KEPT * scan->wanted + BLOCK);
    kb_room *room = malloc(sizeof *room);
    likely->sums = malloc(most * sizeof *likely->sums);
    likely->rows = malloc(most * sizeof *likely->rows);
    if (!room || !likely->sums || !likely->rows) {
        free(room);
        return KB_NO_MEMORY;
    }
    open_room(room, scan);
    for (; from < script->n; from = atomic_fetch_add(&scan->next, BLOCK)) {
        int64_t n = script->n - from < BLOCK ? script->n - from : BLOCK;
        look_at(room, scan, from, n);
        n = kb_places_from(room->sums, n, edge, room->may, room->places);
        for (int64_t i = 0; i < n; i++) {
            int64_t place = room->places[i];
            if (scan->allowed && !scan->allowed[from + place]) continue;
            likely->sums[likely->n] = room->sums[place];
            likely->rows[likely->n++] = script->rows[from + place];
        }
        if (likely->n > KEPT * scan->wanted) edge = forget(likely, scan->wanted);
    }
    free(room);
    return 0;
}

/* The wanted rows and not one more, or all where there are fewer: those with the greatest sums, of equals the first. So
 * it does not matter who has looked at which. Answers how many, or what went wrong. */
static int64_t choose(kb_scan *scan, int64_t *rows) {
    int64_t n = 0, most = scan->likely[0].n + scan->likely[1].n;
    uint64_t *keys = malloc((size_t)(most + 1) * 2 * sizeof *keys);
    if (!keys) return KB_NO_MEMORY;
    for (int who = 0; who < 2; who++) {
        kb_likely *likely = scan->likely + who;
        forget(likely, scan->wanted);
        for (int64_t i = 0; i < likely->n; i++)
            keys[n++] = (uint64_t)(uint32_t)~((uint32_t)likely->sums[i] ^ 0x80000000u) << 32 | (uint32_t)likely->rows[i];
    }
    kb_sort(keys, n, keys + n);
    n = n < scan->wanted ? n : scan->wanted;
    for (int64_t i = 0; i < n; i++) rows[i] = (uint32_t)keys[i];
    free(keys);
    return n;
}

/* What a look at all rows has led to, at most `wanted` rows; ends the scan. NULL with a negative count when something
 * went wrong. */
KB_HIDDEN int64_t *kb_likely_rows(kb_scan *scan, int64_t failed, int64_t *count) {
    int64_t *rows = malloc((size_t)(scan->wanted + 1) * sizeof *rows);
    *count = failed ? failed : rows ? choose(scan, rows) : KB_NO_MEMORY;
    for (int who = 0; who < 2; who++) {
        free(scan->likely[who].sums);
        free(scan->likely[who].rows);
    }
    if (*count >= 0) return rows;
    free(rows);
    return NULL;
}
