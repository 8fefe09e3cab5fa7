/* Which rows hold a term, and which rows hold a question's terms best: the lexical leg, see kbsearch/lexical.py.
 *
 * A posting is one number: the place of its row in its block of rows, and what the term is worth there, BM25's
 * saturated frequency as a share of the most that it can be, both in 16 bits. The best rows of a question are found block
 * by block with MaxScore (Turtle & Flood 1995, "Query evaluation: strategies and optimizations"): the terms that cannot,
 * all together, lift a row over the worst of the best so far are looked up only for rows that hold another term. Sums are
 * of whole numbers, so that a row has the same score in whatever order its terms come.
 */

#include <stdlib.h>

#include "core.h"

enum { BLOCK_BITS = 13, BLOCK = 1 << BLOCK_BITS, MOST_TERMS = 64, SCAN = 64, SHIFT = 8, SCALE = 65535, FEWER = 64 };

/* ---- Building ---------------------------------------------------------------------------------------------------- */

/* How often a row holds each of its terms: open addressing, as large as the longest row needs. */
typedef struct {
    uint32_t *ids, *times, *used;
    uint8_t *stream; /* 0 for a place that is free, else 1 + stream */
    int64_t size, count;
} kb_bag;

static void bag_close(kb_bag *bag) {
    free(bag->ids);
    free(bag->times);
    free(bag->used);
    free(bag->stream);
}

static int bag_open(kb_bag *bag, int64_t terms) {
    int64_t size = 64;
    while (size < 2 * terms) size *= 2;
    if (bag->size >= size) return 0;
    bag_close(bag);
    *bag = (kb_bag){malloc((size_t)size * 4), malloc((size_t)size * 4), malloc((size_t)size * 4), calloc((size_t)size, 1),
                    size, 0};
    if (bag->ids && bag->times && bag->used && bag->stream) return 0;
    bag_close(bag);
    *bag = (kb_bag){0};
    return KB_NO_MEMORY;
}

static void bag_add(kb_bag *bag, uint32_t id, uint32_t weight, int stream) {
    uint32_t mask = (uint32_t)(bag->size - 1), place = id * 2654435761u & mask;
    while (bag->stream[place] && (bag->ids[place] != id || bag->stream[place] != stream + 1)) place = (place + 1) & mask;
    if (!bag->stream[place]) {
        bag->ids[place] = id;
        bag->times[place] = 0;
        bag->stream[place] = (uint8_t)(stream + 1);
        bag->used[bag->count++] = place;
    }
    bag->times[place] += weight;
}

static void bag_clear(kb_bag *bag) {
    for (int64_t i = 0; i < bag->count; i++) bag->stream[bag->used[i]] = 0;
    bag->count = 0;
}

/* The terms of a row with their frequencies, weights included. */
static int bag_fill(kb_bag *bag, const kb_tokens *tokens, const kb_row *row) {
    if (row->parts > row->parts_end || row->parts_end > tokens->n_parts) return KB_CORRUPT;
    int64_t many = 0;
    for (uint32_t part = row->parts; part < row->parts_end; part++) {
        if (tokens->parts[part].text >= tokens->n_texts) return KB_CORRUPT;
        const kb_text *text = tokens->texts + tokens->parts[part].text;
        many += (int64_t)text->distinct[0] + text->distinct[1];
        int64_t first = (int64_t)((uint64_t)text->begin_high << 32 | text->begin_low);
        if (first < 0 || first + text->counts[0] + text->counts[1] > tokens->n_tokens) return KB_CORRUPT;
        if (text->distinct[0] > text->counts[0] || text->distinct[1] > text->counts[1]) return KB_CORRUPT;
    }
    bag_clear(bag);
    int failed = bag_open(bag, many + 1);
    if (failed) return failed;
    for (uint32_t part = row->parts; part < row->parts_end; part++) {
        const kb_text *text = tokens->texts + tokens->parts[part].text;
        const uint32_t *ids = tokens->ids + (int64_t)((uint64_t)text->begin_high << 32 | text->begin_low);
        for (int stream = 0; stream < 2; ids += text->counts[stream++])
            for (uint32_t i = 0; i < text->counts[stream]; i++) {
                if (bag->count >= many + 1) return KB_CORRUPT; /* the file says that there are fewer */
                bag_add(bag, ids[i], tokens->parts[part].weight, stream);
            }
    }
    return 0;
}

/* Where a term stands in a table of `size` places, a power of two, or the free place where it belongs. */
static inline int64_t seat_of(const uint32_t *ids, const uint32_t *rows, int64_t size, uint32_t id) {
    int64_t place = (int64_t)((uint64_t)id * 0x9E3779B97F4A7C15u >> 20) & (size - 1);
    while (rows[place] && ids[place] != id) place = (place + 1) & (size - 1);
    return place;
}

/* Counts, of each term of all rows, the rows that hold it and their blocks, in tables of `size` places, all 0.
 * Answers the number of terms; `size` when there is no room for them. last: scratch, as long. */
int64_t kb_count_terms(const kb_tokens *tokens, uint32_t *ids, uint32_t *rows, uint32_t *blocks, uint32_t *last,
                       int64_t size) {
    kb_bag bag = {0};
    int64_t terms = 0, failed = 0;
    for (int64_t row = 0; row < tokens->n_rows && !failed && terms < size; row++) {
        if ((failed = bag_fill(&bag, tokens, tokens->rows + row))) break;
        uint32_t block = (uint32_t)(row >> BLOCK_BITS) + 1;
        for (int64_t i = 0; i < bag.count; i++) {
            int64_t seat = seat_of(ids, rows, size, bag.ids[bag.used[i]]);
            if (!rows[seat]) {
                if (terms + 1 > size / 2) { /* a table that is nearly full is slow */
                    terms = size;
                    break;
                }
                ids[seat] = bag.ids[bag.used[i]];
                terms++;
            }
            rows[seat]++;
            if (last[seat] != block) {
                last[seat] = block;
                blocks[seat]++;
            }
        }
    }
    bag_close(&bag);
    return failed ? failed : terms;
}

/* What a term is worth in a row, from 1 to SCALE: tf / (tf + k1 (1 - b + b length / mean)). */
static uint32_t worth(uint32_t times, uint32_t length, float mean, float k1, float b) {
    double tf = times, norm = (double)k1 * (1 - (double)b + (double)b * length / (mean > 0 ? (double)mean : 1));
    uint32_t share = (uint32_t)(SCALE * (tf / (tf + norm)) + 0.5);
    return share ? share : 1;
}

/* Writes the postings. next_post, next_entry: where those of the term at each place of the tables begin, and, when it is
 * done, end; a place is one of kb_count_terms. entries: two numbers each. mean_length: words, grams. */
int kb_fill_postings(const kb_tokens *tokens, const uint32_t *ids, const uint32_t *rows, uint32_t *last, int64_t size,
                     uint32_t *next_post, uint32_t *next_entry, uint32_t *entries, int64_t n_entries, uint32_t *posts,
                     int64_t n_posts, const float *mean_length, float k1, float b) {
    kb_bag bag = {0};
    int failed = 0;
    for (int64_t row = 0; row < tokens->n_rows && !failed; row++) {
        if ((failed = bag_fill(&bag, tokens, tokens->rows + row))) break;
        uint32_t block = (uint32_t)(row >> BLOCK_BITS);
        for (int64_t i = 0; i < bag.count; i++) {
            uint32_t place = bag.used[i], stream = bag.stream[place] - 1u;
            int64_t seat = seat_of(ids, rows, size, bag.ids[place]);
            uint32_t share = worth(bag.times[place], tokens->rows[row].lengths[stream], mean_length[stream], k1, b);
            if (!rows[seat] || next_post[seat] >= n_posts) {
                failed = KB_CORRUPT; /* the tokens changed meanwhile */
                break;
            }
            if (last[seat] != block + 1) {
                if (next_entry[seat] >= n_entries) {
                    failed = KB_CORRUPT;
                    break;
                }
                last[seat] = block + 1;
                entries[2 * (int64_t)next_entry[seat]] = next_post[seat];
                entries[2 * (int64_t)next_entry[seat]++ + 1] = block << 16;
            }
            if (next_entry[seat] - 1 >= n_entries) { /* also of none: the scratch says that the block has begun */
                failed = KB_CORRUPT;
                break;
            }
            uint32_t *most = entries + 2 * (int64_t)(next_entry[seat] - 1) + 1;
            if ((*most & 0xFFFF) < share) *most = (*most & 0xFFFF0000u) | share;
            posts[next_post[seat]++] = (uint32_t)(row & (BLOCK - 1)) << 16 | share;
        }
    }
    bag_close(&bag);
    return failed;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

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
        sums[posts[i] >> 16 & (BLOCK - 1)] += gain(posts[i] & 0xFFFF, weight);
        rows |= posts[i] >> 16;
    }
    return rows < BLOCK ? 0 : KB_CORRUPT;
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

/* The rows of a block that belong to the best. sums: BLOCK zeros, and so again afterwards. */
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
    memset(sums, 0, BLOCK * sizeof *sums);
    return 0;
}

/* The terms of one stream of a question, with their weights as whole numbers; answers how many. */
static int64_t open_cursors(const kb_postings *postings, const kb_question *question, int stream, kb_cursor *cursors) {
    float most = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < question->n; i++) {
        float weight = question->idf[i] * question->boost[i];
        if ((question->flags[i] & KB_GRAM) == stream && weight > most) most = weight;
    }
    for (int64_t i = 0; i < question->n && most > 0; i++) {
        if ((question->flags[i] & KB_GRAM) != stream || !(question->boost[i] > 0)) continue;
        int64_t term = find_term(postings, question->ids[i]), first, end;
        if (term < 0) continue;
        if (n == MOST_TERMS || entries_of(postings, term, &first, &end)) return KB_CORRUPT;
        uint32_t weight = (uint32_t)(SCALE * (question->idf[i] * question->boost[i] / most) + 0.5f);
        cursors[n++] = (kb_cursor){postings->entries + 2 * first, postings->entries + 2 * end, weight};
    }
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
        int64_t first_row = (int64_t)block << BLOCK_BITS, rows = postings->n_rows - first_row, m = 0;
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
        if (ask_block(lists, m, first_row, rows < BLOCK ? rows : BLOCK, allowed, sums, some, &heap)) return KB_CORRUPT;
    }
}

/* The best rows of n questions, for each stream whose bit is set: at most k[0] of the first part and k[1] of the second
 * each, in any order; answers how many in all, for which there is room. scores: in units of 2^-24 of the most that the
 * heaviest term of the question gives. */
int64_t kb_propose(const kb_lexicon *lexicon, const kb_question *const *questions, int64_t n, int32_t streams,
                   const uint8_t *allowed, int64_t k_first, int64_t k_second, int64_t *rows, uint32_t *scores) {
    int64_t k[2] = {k_first, k_second}, most = k_first > k_second ? k_first : k_second, count = 0, failed = 0;
    uint32_t *sums = calloc(BLOCK, sizeof *sums);
    uint16_t *some = malloc((BLOCK + SCAN) * sizeof *some);
    uint64_t *keys = malloc((size_t)(most > 0 ? most : 1) * sizeof *keys);
    if (!sums || !some || !keys) failed = KB_NO_MEMORY;
    for (int64_t i = 0; i < 4 * n && !failed; i++) {
        int stream = i & 1, part = i >> 1 & 1;
        const kb_postings *postings = lexicon->parts[part];
        if (!postings || !(streams >> stream & 1)) continue;
        int64_t first_row = part ? lexicon->parts[0]->n_rows : 0;
        int64_t found = propose(postings, questions[i / 4], stream, allowed ? allowed + first_row : NULL, k[part], sums,
                                some, keys);
        if (found < 0) failed = found;
        for (int64_t j = 0; j < found; j++, count++) {
            rows[count] = first_row + (int64_t)(0xFFFFFFFFu - (uint32_t)keys[j]);
            scores[count] = (uint32_t)(keys[j] >> 32);
        }
    }
    free(sums);
    free(some);
    free(keys);
    return failed ? failed : count;
}
