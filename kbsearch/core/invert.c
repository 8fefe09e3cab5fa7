/* Tokens turned round: for each term the rows that hold it. What postings.c reads is written here, in a build.
 *
 * A posting is one number: the place of its row in its block of rows, and what the term is worth there, BM25's
 * saturated frequency as a share of the most that it can be, both in 16 bits.
 */

#include <stdlib.h>

#include "core.h"

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
    int64_t many = 0, first, middle, last;
    for (uint32_t part = row->parts; part < row->parts_end; part++) {
        if (kb_region(tokens, tokens->parts[part].text, &first, &middle, &last)) return KB_CORRUPT;
        const kb_text *text = tokens->texts + tokens->parts[part].text;
        if (text->distinct[0] > text->counts[0] || text->distinct[1] > text->counts[1]) return KB_CORRUPT;
        many += (int64_t)text->distinct[0] + text->distinct[1];
    }
    bag_clear(bag);
    int failed = bag_open(bag, many + 1);
    if (failed) return failed;
    for (uint32_t part = row->parts; part < row->parts_end; part++) {
        if (kb_region(tokens, tokens->parts[part].text, &first, &middle, &last)) return KB_CORRUPT;
        for (int64_t token = first; token < last; token++) {
            if (bag->count >= many + 1) return KB_CORRUPT; /* the file says that there are fewer */
            bag_add(bag, tokens->ids[token], tokens->parts[part].weight, token >= middle);
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
        uint32_t block = (uint32_t)(row >> KB_BLOCK_BITS) + 1;
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

/* What a term is worth in a row, from 1 to KB_SCALE: tf / (tf + k1 (1 - b + b length / mean)). */
static uint32_t worth(uint32_t times, uint32_t length, float mean, float k1, float b) {
    double tf = times, norm = (double)k1 * (1 - (double)b + (double)b * length / (mean > 0 ? (double)mean : 1));
    uint32_t share = (uint32_t)(KB_SCALE * (tf / (tf + norm)) + 0.5);
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
        uint32_t block = (uint32_t)(row >> KB_BLOCK_BITS);
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
            posts[next_post[seat]++] = (uint32_t)(row & (KB_BLOCK - 1)) << 16 | share;
        }
    }
    bag_close(&bag);
    return failed;
}
