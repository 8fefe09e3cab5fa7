/* Which rows hold a question's terms best: the lexical leg, see kbsearch/lexical.py; invert.c writes what is read here.
 *
 * The best rows of a question are found block by block with MaxScore (Turtle & Flood 1995, "Query evaluation: strategies
 * and optimizations"): the terms that cannot, all together, lift a row over the worst of the best so far are looked up
 * only for rows that hold another term. Sums are of whole numbers, so that a row has the same score in whatever order its
 * terms come.
 */

#include <stdlib.h>

#include "core.h"

enum { MOST_TERMS = 64, /* MAX_TERMS of lexical.py */ SCAN = 64, SHIFT = 8, FEWER = 64 };

/* The place of a term among the terms, which ascend and are spread evenly; -1 for an unknown one. */
static int64_t find_term(const kb_postings *postings, uint32_t id) {
    const uint32_t *terms = postings->terms;
    int64_t n = postings->n_terms, low = 0, high = n, at = (int64_t)((uint64_t)id * (uint64_t)n >> 32);
    for (int64_t step = 8; low < high; step *= 2) { /* from where it should be, outwards in growing steps */
        if (at < low) at = low;
        if (at >= high) at = high - 1;
        if (terms[2 * at] < id) {
            low = at + 1;
            at += step;
        } else {
            high = at;
            at -= step;
        }
        if (high - low < step) break;
    }
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (terms[2 * middle] < id) low = middle + 1; else high = middle;
    }
    return low < n && terms[2 * low] == id ? low : -1;
}

/* A term's entries, the last of them not included; KB_CORRUPT where they lead out of the file. */
static int entries_of(const kb_postings *postings, int64_t term, int64_t *first, int64_t *end) {
    *first = postings->terms[2 * term + 1], *end = postings->terms[2 * term + 3];
    return *first <= *end && *end <= postings->n_entries ? 0 : KB_CORRUPT;
}

/* In how many rows each of n terms stands. */
int kb_frequencies(const kb_postings *postings, const uint32_t *ids, int64_t n, int64_t *rows) {
    for (int64_t i = 0; i < n; i++) {
        int64_t term = find_term(postings, ids[i]), first, end;
        rows[i] = 0;
        if (term < 0) continue;
        if (entries_of(postings, term, &first, &end)) return KB_CORRUPT;
        rows[i] = (int64_t)postings->entries[2 * end] - postings->entries[2 * first];
        if (rows[i] < 0 || rows[i] > postings->n_rows) return KB_CORRUPT;
    }
    return 0;
}

typedef struct {
    const uint32_t *entry, *end; /* the next block, and behind the last */
    uint32_t weight;
} kb_cursor;

/* A term in the block at hand. */
typedef struct {
    const uint32_t *posts;
    int64_t n;
    uint32_t weight, most;
} kb_list;

/* The best so far: a heap whose first is the worst of them. Keys: score, then the earlier row. */
typedef struct {
    uint64_t *keys;
    int64_t n, k;
} kb_heap;

static inline uint32_t gain(uint32_t share, uint32_t weight) { return (share * weight >> SHIFT) + 1; }

static void heap_push(kb_heap *heap, uint64_t key) {
    uint64_t *keys = heap->keys;
    int64_t at;
    if (heap->n < heap->k) {
        for (at = heap->n++; at && keys[(at - 1) / 2] > key; at = (at - 1) / 2) keys[at] = keys[(at - 1) / 2];
    } else {
        if (key <= keys[0]) return;
        for (at = 0;;) {
            int64_t child = 2 * at + 1;
            if (child >= heap->n) break;
            if (child + 1 < heap->n && keys[child + 1] < keys[child]) child++;
            if (keys[child] >= key) break;
            keys[at] = keys[child];
            at = child;
        }
    }
    keys[at] = key;
}

/* Rows of a block whose sum is above a limit; every 64 are looked at as one first. */
KB_WIDE static int64_t above(const uint32_t *restrict sums, int64_t n, uint32_t limit, uint16_t *restrict found) {
    int64_t count = 0;
    for (int64_t from = 0; from < n; from += SCAN) {
        uint32_t most = 0;
        for (int64_t i = 0; i < SCAN; i++) most = sums[from + i] > most ? sums[from + i] : most;
        if (most <= limit) continue;
        for (int64_t i = from; i < from + SCAN; i++) {
            found[count] = (uint16_t)i;
            count += sums[i] > limit;
        }
    }
    return count;
}

/* A row that leads out of the block is taken for another one of it, and seen at the end: a look at each takes as long as
 * the sum. One behind the last row is seen by whoever reads the sums. */
static int add_all(const kb_list *list, uint32_t *sums) {
    const uint32_t *posts = list->posts, weight = list->weight;
    uint32_t rows = 0;
#pragma GCC unroll 4
    for (int64_t i = 0; i < list->n; i++) {
        sums[posts[i] >> 16 & (KB_BLOCK - 1)] += gain(posts[i] & 0xFFFF, weight);
        rows |= posts[i] >> 16;
    }
    return rows < KB_BLOCK ? 0 : KB_CORRUPT;
}

/* The same for some rows only, ascending, found in the list by steps that grow. */
static void add_some(const kb_list *list, uint32_t *sums, const uint16_t *some, int64_t n) {
    int64_t low = 0;
    for (int64_t i = 0; i < n && low < list->n; i++) {
        uint32_t row = some[i];
        int64_t step = 1, high;
        while (low + step < list->n && (list->posts[low + step] >> 16) < row) step *= 2;
        high = low + step < list->n ? low + step + 1 : list->n;
        low += step / 2;
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if ((list->posts[middle] >> 16) < row) low = middle + 1; else high = middle;
        }
        if (low < list->n && list->posts[low] >> 16 == row) sums[row] += gain(list->posts[low] & 0xFFFF, list->weight);
    }
}

/* The terms of a block that are worth least for what they cost come first. */
static void sort_lists(kb_list *lists, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        kb_list list = lists[i];
        int64_t at = i;
        for (; at && (uint64_t)lists[at - 1].most * (uint64_t)list.n > (uint64_t)list.most * (uint64_t)lists[at - 1].n; at--)
            lists[at] = lists[at - 1];
        lists[at] = list;
    }
}

/* The rows of a block that belong to the best. sums: KB_BLOCK zeros, and so again afterwards. */
static int ask_block(kb_list *lists, int64_t n, int64_t first_row, int64_t rows, const uint8_t *allowed, uint32_t *sums,
                     uint16_t *some, kb_heap *heap) {
    uint32_t worst = heap->n == heap->k ? (uint32_t)(heap->keys[0] >> 32) : 0, all = 0, left = 0;
    for (int64_t i = 0; i < n; i++) all += lists[i].most;
    if (all <= worst) return 0; /* an equal one has a later row */
    sort_lists(lists, n);
    int64_t optional = 0;
    while (worst && left + lists[optional].most <= worst) left += lists[optional++].most;
    for (int64_t i = optional; i < n; i++)
        if (add_all(lists + i, sums)) return KB_CORRUPT;
    int64_t count = above(sums, (rows + SCAN - 1) / SCAN * SCAN, worst - left, some);
    for (int64_t i = optional; i-- && count;) {
        if (count <= lists[i].n / FEWER) /* a look for one row takes as long as adding some sixty */
            add_some(lists + i, sums, some, count);
        else if (add_all(lists + i, sums))
            return KB_CORRUPT;
        left -= lists[i].most;
        int64_t kept = 0;
        for (int64_t j = 0; j < count; j++) {
            some[kept] = some[j];
            kept += sums[some[j]] > worst - left;
        }
        count = kept;
    }
    for (int64_t j = 0; j < count; j++) {
        int64_t row = first_row + some[j];
        if (some[j] >= rows) return KB_CORRUPT;
        if (!allowed || allowed[row]) heap_push(heap, (uint64_t)sums[some[j]] << 32 | (0xFFFFFFFFu - (uint32_t)row));
    }
    memset(sums, 0, KB_BLOCK * sizeof *sums);
    return 0;
}

/* The terms of one stream of a question that are known here, with their weights as whole numbers; answers how many.
 * An unknown one has the greatest idf of all: the others would be left with few bits beside it. */
static int64_t open_cursors(const kb_postings *postings, const kb_question *question, int stream, kb_cursor *cursors) {
    float weights[MOST_TERMS], most = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < question->n; i++) {
        if ((question->flags[i] & KB_GRAM) != stream || !(question->boost[i] > 0)) continue;
        int64_t term = find_term(postings, question->ids[i]), first, end;
        if (term < 0) continue;
        if (n == MOST_TERMS || entries_of(postings, term, &first, &end)) return KB_CORRUPT;
        weights[n] = question->idf[i] * question->boost[i];
        most = weights[n] > most ? weights[n] : most;
        cursors[n++] = (kb_cursor){postings->entries + 2 * first, postings->entries + 2 * end, 0};
    }
    if (!(most > 0)) return 0;
    for (int64_t i = 0; i < n; i++) cursors[i].weight = (uint32_t)(KB_SCALE * (weights[i] / most) + 0.5f);
    return n;
}

/* The k best rows for one stream of a question, in any order; answers how many. allowed: rows, or NULL.
 * room: sums of a block, all 0, and places of its rows. */
static int64_t propose(const kb_postings *postings, const kb_question *question, int stream, const uint8_t *allowed,
                       int64_t k, uint32_t *sums, uint16_t *some, uint64_t *keys) {
    kb_cursor cursors[MOST_TERMS];
    int64_t n = open_cursors(postings, question, stream, cursors);
    kb_heap heap = {keys, 0, k};
    if (n <= 0 || k <= 0) return n < 0 ? n : 0;
    for (;;) {
        uint32_t block = UINT32_MAX;
        for (int64_t i = 0; i < n; i++)
            if (cursors[i].entry < cursors[i].end && cursors[i].entry[1] >> 16 < block) block = cursors[i].entry[1] >> 16;
        if (block == UINT32_MAX) return heap.n;
        int64_t first_row = (int64_t)block << KB_BLOCK_BITS, rows = postings->n_rows - first_row, m = 0;
        if (rows <= 0) return KB_CORRUPT;
        kb_list lists[MOST_TERMS];
        for (int64_t i = 0; i < n; i++) {
            kb_cursor *cursor = cursors + i;
            if (cursor->entry >= cursor->end || cursor->entry[1] >> 16 != block) continue;
            int64_t first = cursor->entry[0], last = cursor->entry[2];
            if (first > last || last > postings->n_posts) return KB_CORRUPT;
            lists[m++] = (kb_list){postings->posts + first, last - first, cursor->weight,
                                   gain(cursor->entry[1] & 0xFFFF, cursor->weight)};
            cursor->entry += 2;
        }
        if (ask_block(lists, m, first_row, rows < KB_BLOCK ? rows : KB_BLOCK, allowed, sums, some, &heap)) return KB_CORRUPT;
    }
}

/* What to propose rows for. scores: in units of 2^-24 of the most that the heaviest of the question's terms gives that
 * the part knows. */
typedef struct {
    const kb_lexicon *lexicon;
    const kb_question *const *questions;
    int64_t n;
    int32_t streams;        /* those whose bit is set */
    const uint8_t *allowed; /* rows, or NULL */
    int64_t k[2];           /* at most so many rows of each part */
    int64_t *rows;          /* in any order; room for all */
    uint32_t *scores;
    kb_job job;
} kb_proposal;

static int64_t propose_all(void *given) {
    const kb_proposal *here = given;
    const int64_t *k = here->k, most = k[0] > k[1] ? k[0] : k[1];
    int64_t count = 0, failed = 0;
    uint32_t *sums = calloc(KB_BLOCK, sizeof *sums);
    uint16_t *some = malloc((KB_BLOCK + SCAN) * sizeof *some);
    uint64_t *keys = malloc((size_t)(most > 0 ? most : 1) * sizeof *keys);
    if (!sums || !some || !keys) failed = KB_NO_MEMORY;
    for (int64_t i = 0; i < 4 * here->n && !failed; i++) {
        int stream = i & 1, part = i >> 1 & 1;
        const kb_postings *postings = here->lexicon->parts[part];
        if (!postings || !(here->streams >> stream & 1)) continue;
        int64_t first_row = part ? here->lexicon->parts[0]->n_rows : 0;
        int64_t found = propose(postings, here->questions[i / 4], stream,
                                here->allowed ? here->allowed + first_row : NULL, k[part], sums, some, keys);
        if (found < 0) failed = found;
        for (int64_t j = 0; j < found; j++, count++) {
            here->rows[count] = first_row + (int64_t)(0xFFFFFFFFu - (uint32_t)keys[j]);
            here->scores[count] = (uint32_t)(keys[j] >> 32);
        }
    }
    free(sums);
    free(some);
    free(keys);
    return failed ? failed : count;
}

/* To begin with it, where there is a helper to do so; to end it, begun or not, which gives how many rows there are; or to
 * let go of it. From the beginning to the end the proposal stays as it is. */
void kb_begin_proposal(kb_proposal *proposal) {
    proposal->job = (kb_job){.work = propose_all, .given = proposal};
    kb_begin(&proposal->job);
}

int64_t kb_end_proposal(kb_proposal *proposal) {
    return proposal->job.work ? kb_end(&proposal->job) : propose_all(proposal);
}

void kb_drop_proposal(kb_proposal *proposal) { kb_drop(&proposal->job); }
