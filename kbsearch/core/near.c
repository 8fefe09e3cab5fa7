/* The dense leg: of the rows of each script, those that are nearest to a question. Few are compared one by one; more by
 * their 8-bit codes, exactly; many by 4-bit codes, or by a walk through a graph, which lead to some that are compared.
 */

#include <stdlib.h>

#include "core.h"

#ifdef KB_X86
#include <immintrin.h>
#endif

enum {
    TIE_MARGIN = 16,       /* rows beyond those wanted: codes put them in another order than vectors do */
    FURTHER = 4,           /* times as many, when a tie may go on behind the last */
    FEWER_PERCENT = 150,   /* proposals for a hundred wanted, where not every one of them matters */
    MOST_WALKED = 1024,    /* where a filter wants more from a graph, a comparison with all costs no more */
    RESCORED = 4,          /* times as many as wanted are taken by these codes, which round */
    NIBBLE = 15, MOST = 127, HIGHEST = 255, LONGEST = 16384,
    AHEAD = 4096,          /* bytes: a processor itself does not look beyond the page that it reads */
    BLOCK = 4096,          /* rows whose codes are looked at in one go */
    KEPT = 4,              /* times as many rows as wanted are kept before the least likely are forgotten */
    WORTH_HELP = 1 << 20   /* numbers to be looked at: less is done sooner than begun by another */
};

/* Which rows of a script may answer: a byte for each, and how many there are. */
typedef struct {
    const uint8_t *rows; /* NULL: all */
    int64_t count;
} kb_allowed;

/* The scripts of an index: the others, and Japanese; their rows have their vectors in `matrix`. */
typedef struct {
    kb_script scripts[2];
    const float *matrix;
    int64_t height, width;
} kb_dense;

typedef struct {
    const kb_dense *dense;
    const kb_script *script;
    kb_allowed allowed;
    const float *vector;
    int64_t k, thorough, *rows;
    float *scores;
} kb_task;

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
static void open_room(kb_room *room, const kb_task *task) {
    const kb_nibbles *nibbles = task->script->nibbles;
    room->is_narrow = 0;
    if (!nibbles) {
        kb_in_steps(task->vector, task->script->graph->span, task->dense->width, HIGHEST, room->wide);
        return;
    }
    in_nibble_steps(nibbles, task->vector, task->dense->width, room->wide);
#ifdef KB_X86
    room->is_narrow = has_vnni();
    for (int64_t i = 0; i < 2 * nibbles->half; i++) room->narrow[i] = (int8_t)room->wide[i];
#endif
}

/* Products of the codes of some rows with the question, in one unit and less what all have in common. */
static void look_at(kb_room *room, const kb_task *task, int64_t from, int64_t n) {
    const kb_nibbles *nibbles = task->script->nibbles;
    if (!nibbles) {
        for (int64_t i = 0; i < n; i++) room->nodes[i] = (uint32_t)(from + i);
        kb_scores_of(task->script->graph->codes, task->dense->width, room->nodes, n, room->wide, room->sums);
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

/* Rows that may belong to the best, with their sums. */
typedef struct {
    int32_t *sums;
    int64_t *rows, n;
} kb_likely;

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

/* At least `wanted` of the allowed rows, those with the greatest products by their codes. A block at a time, and of each
 * only what reaches the best so far: the sums of all would be read from memory again, and so much memory is given back to
 * the system after every question. */
static int64_t *by_codes(const kb_task *task, int64_t wanted, int64_t *count) {
    const kb_script *script = task->script;
    const uint8_t *allowed = task->allowed.rows;
    int64_t edge = INT32_MIN;
    size_t most = (size_t)(KEPT * wanted + BLOCK);
    kb_room *room = malloc(sizeof *room);
    kb_likely likely = {malloc(most * sizeof *likely.sums), malloc(most * sizeof *likely.rows), 0};
    *count = KB_NO_MEMORY;
    if (!room || !likely.sums || !likely.rows) goto end;
    open_room(room, task);
    for (int64_t from = 0; from < script->n; from += BLOCK) {
        int64_t n = script->n - from < BLOCK ? script->n - from : BLOCK;
        look_at(room, task, from, n);
        n = kb_places_from(room->sums, n, edge, room->may, room->places);
        for (int64_t i = 0; i < n; i++) {
            int64_t place = room->places[i];
            if (allowed && !allowed[from + place]) continue;
            likely.sums[likely.n] = room->sums[place];
            likely.rows[likely.n++] = script->rows[from + place];
        }
        if (likely.n > KEPT * wanted) edge = forget(&likely, wanted);
    }
    forget(&likely, wanted);
    *count = likely.n;
end:
    free(room);
    free(likely.sums);
    if (*count >= 0) return likely.rows;
    free(likely.rows);
    return NULL;
}

/* All rows that may answer. */
static int64_t *every(const kb_task *task, int64_t *count) {
    const kb_script *script = task->script;
    const uint8_t *allowed = task->allowed.rows;
    int64_t *rows = malloc((size_t)task->allowed.count * sizeof *rows), n = 0;
    *count = KB_NO_MEMORY;
    if (!rows) return NULL;
    for (int64_t i = 0; i < script->n && n < task->allowed.count; i++)
        if (!allowed || allowed[i]) rows[n++] = script->rows[i];
    *count = n;
    return rows;
}

/* The allowed ones of the rows that a walk leads to; NULL where a filter leaves too few of them. */
static int64_t *by_walk(const kb_task *task, int64_t limit, int64_t *count) {
    const kb_script *script = task->script;
    const uint8_t *allowed = task->allowed.rows;
    int64_t wanted = allowed ? limit * 3 / 2 * script->n / task->allowed.count : limit, n = 0;
    *count = 0;
    if (allowed && wanted > MOST_WALKED) return NULL;
    int64_t *rows = malloc((size_t)wanted * sizeof *rows);
    *count = KB_NO_MEMORY;
    if (!rows) return NULL;
    int64_t places = kb_walk(script->graph, task->vector, task->thorough ? script->reach : script->reach / 2, wanted, rows);
    for (int64_t i = 0; i < places; i++)
        if (!allowed || allowed[rows[i]]) rows[n++] = script->rows[rows[i]];
    *count = places < 0 ? places : n < limit ? 0 : n;
    if (*count > 0) return rows;
    free(rows);
    return NULL;
}

/* Rows among which the best `limit` are, but for a few; NULL with a negative count when something went wrong. */
static int64_t *proposed(const kb_task *task, int64_t limit, int64_t *count) {
    const kb_script *script = task->script;
    int64_t able = task->allowed.count;
    if (script->nibbles) {
        int64_t percent = task->thorough ? script->reach : FEWER_PERCENT;
        int64_t wanted = limit * (percent > 100 ? percent : 100) / 100 + 1;
        return wanted < able ? by_codes(task, wanted, count) : every(task, count);
    }
    if (script->graph) {
        int64_t *rows = by_walk(task, limit, count);
        if (rows || *count < 0) return rows;
        if (able > script->few && RESCORED * limit < able) return by_codes(task, RESCORED * limit, count);
    }
    return every(task, count);
}

/* The best k rows of a script with their exact cosines: score descending, row ascending. Where not every row is compared,
 * one in some hundred may be missed, of those far down more than of the first. Answers how many. */
static int64_t search(void *given) {
    kb_task *task = given;
    const kb_script *script = task->script;
    const kb_dense *dense = task->dense;
    if (!task->allowed.rows) task->allowed.count = script->n;
    int64_t count = task->allowed.count, k = task->k < count ? task->k : count, limit = k + TIE_MARGIN;
    if (k <= 0) return 0;
    if (script->codes)
        return kb_nearest(script->codes, script->rows, task->allowed.rows, dense->matrix, dense->height, dense->width,
                          task->vector, k, task->rows, task->scores);
    if (!script->nibbles && !script->graph && !task->allowed.rows)
        return kb_best(dense->matrix, dense->height, dense->width, script->rows, script->n, task->vector, k, task->rows,
                       task->scores);
    for (int64_t found;; limit *= FURTHER) {
        limit = limit < count ? limit : count;
        int64_t m, *among = proposed(task, limit, &m), *best = malloc((size_t)limit * sizeof *best);
        float *scores = malloc((size_t)limit * sizeof *scores);
        found = m < 0 ? m : KB_NO_MEMORY;
        if (among && best && scores)
            found = kb_best(dense->matrix, dense->height, dense->width, among, m, task->vector, limit < m ? limit : m, best, scores);
        int is_over = found < 0 || m == count || limit == count || found < limit || scores[found - 1] < scores[k - 1];
        if (is_over && found >= 0) {
            found = k < found ? k : found;
            memcpy(task->rows, best, (size_t)found * sizeof *best);
            memcpy(task->scores, scores, (size_t)found * sizeof *scores);
        }
        free(among);
        free(best);
        free(scores);
        if (is_over) return found;
    }
}

/* The k nearest rows of each script, one behind the other: rows and scores have room for 2 * k; found: how many of each.
 * allowed: of each script, or NULL. own: the script that matters, in which more is looked at; -1: both do.
 * Answers 0, or what went wrong. */
int64_t kb_near(const kb_dense *dense, const float *vector, int64_t k, const kb_allowed *allowed, int64_t own,
                int64_t *rows, float *scores, int64_t *found) {
    kb_task tasks[2];
    for (int s = 0; s < 2; s++)
        tasks[s] = (kb_task){
            dense, dense->scripts + s, allowed ? allowed[s] : (kb_allowed){NULL, 0}, vector, k, own < 0 || own == s,
            rows + s * k, scores + s * k,
        };
    int first = own < 0 ? 0 : (int)own;
    kb_job other = {.work = search, .given = tasks + !first};
    int is_long = dense->scripts[!first].n * dense->width >= WORTH_HELP;
    if (is_long) kb_begin(&other);
    found[first] = search(tasks + first);
    found[!first] = is_long ? kb_end(&other) : search(tasks + !first);
    return found[0] < 0 ? found[0] : found[1] < 0 ? found[1] : 0;
}

int kb_near_version(void) { return 2; }
