/* The dense leg: of the rows of each script, those that are nearest to a question. Few are compared one by one; more by
 * their 8-bit codes, exactly; many by 4-bit codes, or by a walk through a graph, which lead to some that are compared.
 */

#include <stdlib.h>

#include "core.h"

enum {
    TIE_MARGIN = 16,       /* rows beyond those wanted: codes put them in another order than vectors do */
    FURTHER = 4,           /* times as many, when a tie may go on behind the last */
    FEWER_PERCENT = 150,   /* proposals for a hundred wanted, where not every one of them matters */
    MOST_WALKED = 1024,    /* where a filter wants more from a graph, a comparison with all costs no more */
    RESCORED = 4,          /* times as many as wanted are taken by these codes, which round */
    NIBBLE = 15, MOST = 127, HIGHEST = 255, LONGEST = 16384,
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
#define KB_SUMS_OF_NIBBLES(step)                                                                                       \
    for (int64_t r = 0; r < n; r++) {                                                                                  \
        const uint8_t *row = codes + r * half;                                                                         \
        uint8_t numbers[LONGEST];                                                                                      \
        int32_t sum = 0;                                                                                               \
        for (int64_t i = 0; i < half; i++) {                                                                           \
            numbers[i] = row[i] & NIBBLE;                                                                              \
            numbers[half + i] = row[i] >> 4;                                                                           \
        }                                                                                                              \
        for (int64_t i = 0; i < 2 * half; i++) sum += (int32_t)numbers[i] * (step)[i];                                 \
        sums[r] = sum;                                                                                                 \
    }

KB_WIDE static void sums_of_nibbles(const uint8_t *restrict codes, int64_t n, int64_t half, const int16_t *restrict steps,
                                    int32_t *restrict sums) {
    KB_SUMS_OF_NIBBLES(steps)
}

#ifdef KB_X86
/* The same with the instruction that newer processors have for it, which takes 8-bit numbers: twice as fast. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static void
sums_by_vnni(const uint8_t *restrict codes, int64_t n, int64_t half, const int8_t *restrict steps, int32_t *restrict sums) {
    KB_SUMS_OF_NIBBLES(steps)
}

static int has_vnni(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

/* Products of the codes with a vector, in one unit and less what all have in common. */
static void nibbles_with(const kb_nibbles *nibbles, const float *vector, int64_t width, int16_t *wide, int32_t *sums) {
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
#ifdef KB_X86
    if (has_vnni()) {
        int8_t narrow[LONGEST];
        for (int64_t i = 0; i < 2 * nibbles->half; i++) narrow[i] = (int8_t)wide[i];
        sums_by_vnni(nibbles->codes, nibbles->n, nibbles->half, narrow, sums);
        return;
    }
#endif
    sums_of_nibbles(nibbles->codes, nibbles->n, nibbles->half, wide, sums);
}

/* Inner products, in steps, of all codes of a graph with a vector; what all have in common is left out. */
KB_WIDE static void products_with(const uint8_t *restrict codes, int64_t n, int64_t width, const int16_t *restrict steps,
                                  int32_t *restrict sums) {
    for (int64_t r = 0; r < n; r++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < width; i++) sum += (int32_t)codes[r * width + i] * steps[i];
        sums[r] = sum;
    }
}

/* All rows that may answer. */
static int64_t every(const kb_task *task, int64_t *among) {
    const kb_script *script = task->script;
    if (!task->allowed.rows) {
        memcpy(among, script->rows, (size_t)script->n * sizeof *among);
        return script->n;
    }
    int64_t count = 0;
    for (int64_t i = 0; i < script->n; i++)
        if (task->allowed.rows[i]) among[count++] = script->rows[i];
    return count;
}

/* At least `wanted` of the allowed rows, those with the greatest products by their codes. */
static int64_t by_codes(const kb_task *task, int64_t wanted, int64_t *among) {
    const kb_script *script = task->script;
    const uint8_t *allowed = task->allowed.rows;
    int64_t width = task->dense->width, n = script->n, count = KB_NO_MEMORY;
    int32_t *sums = malloc((size_t)(n + 1) * sizeof *sums);
    int16_t *steps = malloc((size_t)(width + 1) * sizeof *steps);
    uint8_t *may = malloc((size_t)n + 8);
    if (!sums || !steps || !may) goto end;
    if (script->nibbles) nibbles_with(script->nibbles, task->vector, width, steps, sums);
    else {
        kb_in_steps(task->vector, script->graph->span, width, HIGHEST, steps);
        products_with(script->graph->codes, n, width, steps, sums);
    }
    int64_t places = kb_places_from(sums, n, kb_edge_of_sums(sums, allowed, n, wanted), may, among);
    count = 0;
    for (int64_t i = 0; i < places; i++)
        if (!allowed || allowed[among[i]]) among[count++] = script->rows[among[i]];
end:
    free(sums);
    free(steps);
    free(may);
    return count;
}

/* The allowed ones of the rows that a walk leads to; 0 where a filter leaves too few of them. */
static int64_t by_walk(const kb_task *task, int64_t limit, int64_t *among) {
    const kb_script *script = task->script;
    const uint8_t *allowed = task->allowed.rows;
    int64_t wanted = allowed ? limit * 3 / 2 * script->n / task->allowed.count : limit;
    if (allowed && wanted > MOST_WALKED) return 0;
    int64_t places = kb_walk(script->graph, task->vector, task->thorough ? script->reach : script->reach / 2, wanted, among);
    int64_t count = 0;
    for (int64_t i = 0; i < places; i++)
        if (!allowed || allowed[among[i]]) among[count++] = script->rows[among[i]];
    return places < 0 ? places : count < limit ? 0 : count;
}

/* Rows among which the best `limit` are, but for a few. */
static int64_t proposed(const kb_task *task, int64_t limit, int64_t *among) {
    const kb_script *script = task->script;
    int64_t count = task->allowed.count;
    if (script->nibbles) {
        int64_t wanted = limit * (task->thorough ? script->reach : FEWER_PERCENT) / 100 + 1;
        return wanted < count ? by_codes(task, wanted, among) : every(task, among);
    }
    if (script->graph) {
        int64_t found = by_walk(task, limit, among);
        if (found) return found;
        if (count > script->few && RESCORED * limit < count) return by_codes(task, RESCORED * limit, among);
    }
    return every(task, among);
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
    int64_t *among = malloc((size_t)script->n * sizeof *among), *best = malloc((size_t)count * sizeof *best);
    float *scores = malloc((size_t)count * sizeof *scores);
    int64_t found = KB_NO_MEMORY;
    if (!among || !best || !scores) goto end;
    for (;; limit *= FURTHER) {
        limit = limit < count ? limit : count;
        int64_t m = proposed(task, limit, among);
        found = m < 0 ? m : kb_best(dense->matrix, dense->height, dense->width, among, m, task->vector, limit < m ? limit : m, best, scores);
        if (found < 0 || m == count || limit == count || found < limit || scores[found - 1] < scores[k - 1]) break;
    }
    if (found < 0) goto end;
    found = k < found ? k : found;
    memcpy(task->rows, best, (size_t)found * sizeof *best);
    memcpy(task->scores, scores, (size_t)found * sizeof *scores);
end:
    free(among);
    free(best);
    free(scores);
    return found;
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

int kb_near_version(void) { return 1; }
