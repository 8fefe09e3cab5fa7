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
    kb_scan *scan; /* one that others have looked through, or NULL */
    int64_t failed;
} kb_task;

/* The scan that finds so many of the allowed rows. */
static kb_scan scan_for(const kb_task *task, int64_t wanted) {
    return (kb_scan){.script = task->script, .allowed = task->allowed.rows, .vector = task->vector,
                     .width = task->dense->width, .wanted = wanted};
}

static int64_t *by_codes(const kb_task *task, int64_t wanted, int64_t *count) {
    kb_scan scan = scan_for(task, wanted);
    return kb_likely_rows(&scan, kb_look(&scan, 0), count);
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

/* How many of the best rows are looked for at first: those that are wanted, and some that may be tied with the last. */
static int64_t first_limit(const kb_task *task) {
    int64_t limit = task->k + TIE_MARGIN;
    return limit < task->allowed.count ? limit : task->allowed.count;
}

/* How many rows the best `limit` are looked for among, by their 4-bit codes; 0 where these do not help. */
static int64_t wanted_by_codes(const kb_task *task, int64_t limit) {
    int64_t percent = task->thorough ? task->script->reach : FEWER_PERCENT;
    int64_t wanted = limit * (percent > 100 ? percent : 100) / 100 + 1;
    return task->script->nibbles && wanted < task->allowed.count ? wanted : 0;
}

/* Rows among which the best `limit` are, but for a few; NULL with a negative count when something went wrong. */
static int64_t *proposed(kb_task *task, int64_t limit, int64_t *count) {
    const kb_script *script = task->script;
    int64_t able = task->allowed.count, wanted = wanted_by_codes(task, limit);
    if (task->scan) {
        kb_scan *scan = task->scan;
        task->scan = NULL;
        return kb_likely_rows(scan, task->failed, count);
    }
    if (wanted) return by_codes(task, wanted, count);
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
    int64_t count = task->allowed.count, k = task->k < count ? task->k : count;
    if (k <= 0) return 0;
    if (script->codes)
        return kb_nearest(script->codes, script->rows, task->allowed.rows, dense->matrix, dense->height, dense->width,
                          task->vector, k, task->rows, task->scores);
    if (!script->nibbles && !script->graph && !task->allowed.rows)
        return kb_best(dense->matrix, dense->height, dense->width, script->rows, script->n, task->vector, k, task->rows,
                       task->scores);
    for (int64_t found, limit = first_limit(task);; limit *= FURTHER) {
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

/* Scans that two threads look through. */
typedef struct {
    kb_scan scans[2];
    int n;
} kb_scans;

/* Helps with some scans, beginning with the last one; who began them does with the first. */
static int64_t assist(void *given) {
    kb_scans *all = given;
    int64_t failed = 0;
    for (int s = all->n - 1; s >= 0 && !failed; s--) failed = kb_look(all->scans + s, 1);
    return failed;
}

/* Looks through the 4-bit codes of the scripts that have some, on both cores where the other one is free or gets free
 * meanwhile: it may be busy with the words of the question. What is found depends on nobody's pace.
 * tasks: the one that is wanted first, and the other. */
static void look_at_codes(kb_task *tasks[2], kb_scans *all) {
    int64_t numbers = 0, failed = 0;
    kb_task *looked[2];
    all->n = 0;
    for (int s = 0; s < 2; s++) {
        int64_t wanted = tasks[s]->k > 0 ? wanted_by_codes(tasks[s], first_limit(tasks[s])) : 0;
        if (!wanted) continue;
        numbers += tasks[s]->script->n * tasks[s]->dense->width;
        looked[all->n] = tasks[s];
        all->scans[all->n++] = scan_for(tasks[s], wanted);
    }
    if (numbers < WORTH_HELP) return; /* each is looked through when its turn comes */
    kb_job beside = {.work = assist, .given = all};
    kb_begin(&beside);
    for (int s = 0; s < all->n && !failed; s++) failed = kb_look(all->scans + s, 0);
    int64_t failed_beside = kb_end(&beside);
    for (int s = 0; s < all->n; s++) {
        looked[s]->scan = all->scans + s;
        looked[s]->failed = failed ? failed : failed_beside;
    }
}

/* The k nearest rows of each script, one behind the other: rows and scores have room for 2 * k; found: how many of each.
 * allowed: of each script, or NULL. own: the script that matters, in which more is looked at; -1: both do.
 * Answers 0, or what went wrong. */
int64_t kb_near(const kb_dense *dense, const float *vector, int64_t k, const kb_allowed *allowed, int64_t own,
                int64_t *rows, float *scores, int64_t *found) {
    kb_task tasks[2];
    kb_scans scans;
    for (int s = 0; s < 2; s++) {
        const kb_script *script = dense->scripts + s;
        tasks[s] = (kb_task){
            .dense = dense, .script = script, .allowed = allowed ? allowed[s] : (kb_allowed){NULL, 0}, .vector = vector,
            .k = k, .thorough = own < 0 || own == s, .rows = rows + s * k, .scores = scores + s * k,
        };
        if (!tasks[s].allowed.rows) tasks[s].allowed.count = script->n;
    }
    kb_task *first = tasks + (own < 0 ? 0 : own), *second = tasks + (first == tasks);
    int is_long = second->script->n * dense->width >= WORTH_HELP;
    look_at_codes((kb_task *[]){first, second}, &scans);
    kb_job other = {.work = search, .given = second};
    if (is_long) kb_begin(&other);
    found[first - tasks] = search(first);
    found[second - tasks] = is_long ? kb_end(&other) : search(second);
    return found[0] < 0 ? found[0] : found[1] < 0 ? found[1] : 0;
}

int kb_near_version(void) { return 3; }
